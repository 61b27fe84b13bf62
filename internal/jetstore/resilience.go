package jetstore

import "github.com/nats-io/nats.go"

// Resilience returns the options by which Connect keeps a connection, for programs that connect
// themselves.
func Resilience(name string) []nats.Option { return resilience(name) }
