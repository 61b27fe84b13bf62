// Package leaks ends the tests of a package with a search for goroutines that they left behind.
package leaks

import "go.uber.org/goleak"

// VerifyTestMain runs the tests of a package that starts NATS servers, and fails when goroutines are left.
//
// Two of nats-server 2.15.2 are not counted: a store that is opened while its server shuts down keeps the
// goroutine that writes its state every two minutes, and stays registered with the clock of access times.
// The server has no other way to end them.
func VerifyTestMain(m goleak.TestingM, options ...goleak.Option) {
	options = append(options,
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"),
	)
	goleak.VerifyTestMain(m, options...)
}
