//go:build !linux

package loadtest

func newEngine(s *localClients) (engine, error) { return newHTTPEngine(s) }
