package server

import (
	"context"
	"runtime/debug"
	"time"
)

// A storm of replays whose clients do not read leaves several times limits.replay_bytes of garbage. The runtime
// keeps that memory for minutes, because nothing allocates any more that would start a collection. The node
// returns it once at least suspendedStorm replays were suspended and most of the budget is free. It checks that
// every stormPause, so that it costs one collection in that time at most.
const (
	suspendedStorm = 50
	stormPause     = 10 * time.Second
)

// returnMemory blocks until ctx ends.
func (s *Server) returnMemory(ctx context.Context) {
	tick := time.NewTicker(stormPause)
	defer tick.Stop()
	for returned := uint64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b := s.backend.Budget.Status()
		if b.Suspended >= returned+suspendedStorm && b.Waiting == 0 && b.Used < b.Limit/4 {
			returned = b.Suspended
			debug.FreeOSMemory()
			s.opts.Logger.Debug("replay: memory of suspended replays returned to the system", "suspended", b.Suspended)
		}
	}
}
