package feedhttp

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"
)

// drainPace is how many clients a second are sent away at least: a node with few of them is
// not kept waiting.
const drainPace = 200

func (h *Subscribe) draining() bool { return h.drained.Load() }

// Drain ends the streams, each with the word to come back, and blocks until they have ended or
// ctx does. They leave one by one over period, faster where they are few (200 a second at
// least), so that the other nodes are not stormed; until its turn a stream goes on. Zero ends
// all at once. Clients that arrive afterwards are sent away in the same words, and not waited
// for. It may be called more than once, for a shorter period, too.
func (h *Subscribe) Drain(ctx context.Context, period time.Duration) error {
	h.StartDrain(period)
	ended := make(chan struct{})
	go func() {
		h.left.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// AnnounceDrain closes each new connection with tidemark.close (reason drain), and leaves those
// that are open until StartDrain or Drain.
func (h *Subscribe) AnnounceDrain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drained.Store(true)
}

// StartDrain is Drain without the wait.
func (h *Subscribe) StartDrain(period time.Duration) {
	h.AnnounceDrain()
	present := h.present()
	rand.Shuffle(len(present), func(i, j int) { present[i], present[j] = present[j], present[i] }) // else those of one storm leave as one
	now := time.Now()
	period = min(period, time.Duration(len(present))*time.Second/drainPace)
	for i, s := range present {
		s.leaveBy(now.Add(period*time.Duration(i)/time.Duration(len(present))), errDrain)
	}
}

// EndDrain lets clients in again after AnnounceDrain or StartDrain. Those that were to leave still do, and come
// back. It must not be called once Drain was, which waits for the last stream.
func (h *Subscribe) EndDrain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drained.Store(false)
}

// Close ends the stream with this id (Who.ID) with the reason CloseAdmin, and reports whether
// there is one. Its client comes back, unless something else keeps it out.
func (h *Subscribe) Close(id uint64) bool {
	for _, s := range h.present() {
		if s.id == id {
			s.leaveBy(time.Now(), errAdmin)
			return true
		}
	}
	return false
}

// enter counts a stream, which leaves at its end. While the handler drains it has failed.
func (h *Subscribe) enter(s *session, done func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining() {
		if s.failed == nil {
			h.opts.Admission.refuse(RefusedDraining)
		}
		s.failed, s.leave = errDrain, done
		return
	}
	if s.counted = s.failed == nil; s.counted {
		h.counts.connects.Add(1)
	}
	h.streams.Add(s)
	h.left.Add(1)
	s.leave = func() {
		done()
		h.mu.Lock()
		h.streams.Remove(s)
		h.mu.Unlock()
		h.left.Done()
	}
}

// NextUpstream is a request header by which a proxy says that it has other nodes, and that a
// status of 503 makes it ask the next one instead of telling the client. nginx does so with
// `proxy_next_upstream http_503`.
const NextUpstream = "Tidemark-Next-Upstream"

// patience is how long a node that lost its stream keeps who arrives: a cluster that elects a
// leader is lost to all nodes, and who waits here is served as soon as anywhere.
const patience = 5 * time.Second

// elsewhere says why a client is better served by another node, if there may be one. Who does
// not come through such a proxy is never told so: an EventSource takes 503 for final.
func (h *Subscribe) elsewhere(r *http.Request) (why string) {
	if r.Header.Get(NextUpstream) != "503" {
		return ""
	}
	if h.draining() {
		return "this node goes down"
	}
	if h.opts.Feed.LostFor() > patience {
		return "this node does not reach the stream"
	}
	return ""
}

func sendElsewhere(w http.ResponseWriter, why string) {
	w.Header().Set("Retry-After", "2")
	WriteProblem(w, Problem{Status: http.StatusServiceUnavailable,
		Detail: why + "; a proxy that sends " + NextUpstream + ": 503 must ask the next one"})
}
