// Package leaks ends the tests of a package with a search for goroutines that they left behind.
package leaks

import "go.uber.org/goleak"

// VerifyTestMain runs the tests of a package that starts NATS servers, and fails when goroutines are left.
//
// One of nats-server 2.15.2 is not counted: a store that is opened while its server shuts down keeps the
// goroutine that writes its state every two minutes. The server has no other way to end it.
func VerifyTestMain(m goleak.TestingM, options ...goleak.Option) {
	options = append(options, goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"))
	goleak.VerifyTestMain(m, options...)
}
