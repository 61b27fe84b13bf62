package feedhttp

import (
	"context"
	"math/rand/v2"
	"time"
)

// drainPace is the least number of connections that a drain closes a second: a node with few
// connections drains in less than the period.
const drainPace = 200

func (h *Subscribe) draining() bool { return h.drained.Load() }

// Drain closes the connections with tidemark.close, reason drain, and blocks until they have ended or
// ctx ends.
//
//   - Connections close one by one over period, 200 a second at least, so that the other nodes are
//     not flooded. Each receives events until then. A period of zero closes all at once.
//   - New connections are closed with the same reason, and Drain does not wait for them.
//   - It may be called more than once, also for a shorter period.
func (h *Subscribe) Drain(ctx context.Context, period time.Duration) error {
	h.StartDrain(period)
	ended := make(chan struct{})
	go func() {
		h.open.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// AnnounceDrain closes each new connection with tidemark.close, reason drain. Open connections stay until
// StartDrain or Drain.
func (h *Subscribe) AnnounceDrain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drained.Store(true)
}

// StartDrain starts a drain and returns at once; see [Subscribe.Drain].
func (h *Subscribe) StartDrain(period time.Duration) {
	h.AnnounceDrain()
	all := h.sessions()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] }) // else those of one reconnect storm close together
	now := time.Now()
	period = min(period, time.Duration(len(all))*time.Second/drainPace)
	for i, s := range all {
		s.closeAt(now.Add(period*time.Duration(i)/time.Duration(len(all))), errDrain)
	}
}

// EndDrain accepts connections again after AnnounceDrain or StartDrain. Connections that StartDrain
// scheduled still close, and their clients reconnect. It must not be called after Drain, which waits for the
// last connection.
func (h *Subscribe) EndDrain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drained.Store(false)
}

// Close closes the connection with an id ([ConnInfo]) for the reason CloseAdmin, and reports whether there
// is one. Its client reconnects, unless it is rejected then.
func (h *Subscribe) Close(id uint64) bool {
	for _, s := range h.sessions() {
		if s.id == id {
			s.closeAt(time.Now(), errAdmin)
			return true
		}
	}
	return false
}
