//go:build !linux

package loadtest

func newEngine(s *swarm) (engine, error) { return newGoEngine(s) }
