package jetstore

import (
	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/natsconn"
)

// carrier is a connection that pull requests and their deliveries go over.
type carrier struct {
	nc   *nats.Conn
	link *natsconn.Watcher
}
