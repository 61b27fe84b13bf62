package e2e_test

import (
	"syscall"
	"testing"
)

// TestServe_SIGTERM_ClosesConnectionsThatResume ends a service as operators do, and starts it again.
func TestServe_SIGTERM_ClosesConnectionsThatResume(t *testing.T) {
	t.Parallel()
	s := serve(t, "--sse.heartbeat=1s") // as the follower expects: it must be connected at the end
	live := follow(t, "program", s.url("/events?user=42"), 0)
	live.awaitOpen(1)
	p := newProducer(t, s)
	p.publish(1, 70)
	wantExactly(t, live.name, numbersOf(me, 70), live.numbers)

	for life := range 2 {
		told := live.closeEvents()
		s.signal(syscall.SIGTERM)
		if status := s.wait(); status != 0 {
			t.Fatalf("the service ended with status %d", status)
		}
		// More than once if the client reconnects before the service closes its listener.
		eventually(t, "tidemark.close", func() bool { return live.closeEvents() > told })
		s.start()
		s.awaitReady()
		last := 70 * (life + 2)
		p.publish(last-69, last)
		wantExactly(t, live.name, numbersOf(me, last), live.numbers)
	}
	live.wantExactly(numbersOf(me, 210))
	p.checkStored(210)

	// The third process delivers the events that the first one stored.
	for query, after := range map[string]int{"from=all": 0, "last_event_id=70": 70} {
		late := follow(t, query, s.url("/events?user=42&"+query), 0)
		late.wantExactly(numbersOf(me, 210)[len(numbersOf(me, after)):])
	}
}

// closeEvents returns how often tidemark.close was received.
func (f *follower) closeEvents() int {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.closes {
		if c.Reason != "drain" || c.RetryMS <= 0 {
			f.t.Errorf("%s received %+v", f.name, c)
		}
	}
	return len(f.closes)
}
