package server

import (
	"context"
	"runtime/debug"
	"time"
)

// A storm leaves much garbage: replays whose clients do not read leave several times limits.replay_bytes, and a TLS
// handshake leaves more than its connection keeps. The runtime keeps that memory for minutes, because nothing
// allocates any more that would start a collection. The node returns it after a storm. It checks that every
// stormPause, so that it costs one collection in that time at most.
const (
	suspendedStorm = 50  // suspended replays
	handshakeStorm = 500 // TLS handshakes
	stormPause     = 5 * time.Second
)

// returnMemory blocks until ctx ends.
func (s *Server) returnMemory(ctx context.Context) {
	tick := time.NewTicker(stormPause)
	defer tick.Stop()
	var suspended, handshakes uint64 // when the memory was last returned
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		budget, tls := s.backend.Budget.Status(), s.clients.engine.Handshakes()
		replaysEnded := budget.Suspended >= suspended+suspendedStorm && budget.Waiting == 0 && budget.Used < budget.Limit/4
		handshakesEnded := tls.Ended() >= handshakes+handshakeStorm && tls.Running+tls.Waiting == 0
		if replaysEnded || handshakesEnded {
			debug.FreeOSMemory()
			s.opts.Logger.Debug("memory: returned to the system after a storm",
				"suspended_replays", budget.Suspended-suspended, "tls_handshakes", tls.Ended()-handshakes)
			suspended, handshakes = budget.Suspended, tls.Ended()
		}
	}
}
