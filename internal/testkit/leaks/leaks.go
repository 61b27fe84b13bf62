// Package leaks fails the tests of a package if goroutines are left at their end.
package leaks

import "go.uber.org/goleak"

// VerifyTestMain runs the tests of a package and fails if goroutines are left.
//
// It ignores two goroutines of nats-server 2.15.2, which has no way to end them: a store opened during the
// server's shutdown keeps the goroutine that writes its state every two minutes, and stays registered with
// the clock of access times.
func VerifyTestMain(m goleak.TestingM, options ...goleak.Option) {
	options = append(options,
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"),
	)
	goleak.VerifyTestMain(m, options...)
}
