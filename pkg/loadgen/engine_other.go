//go:build !linux

package loadgen

func newEngine(s *swarm) (engine, error) { return newGoEngine(s) }
