package feedhttp_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

func TestStatus_ClientReadsNothing_IsSlowUntilItHasReadAll(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		const total = 3000
		r := newHarness(t, slowSetup(proto))
		stuck, _ := r.opened(t, "")
		quick, _ := r.opened(t, "")
		payload := make([]byte, 1000)
		for range total {
			r.Publish("n.all", "", payload)
		}
		last := strconv.Itoa(total) + "-e1"
		if n, err := rest(quick, last); n != total || err != nil {
			t.Fatalf("the quick client got %d events: %v", n, err)
		}
		r.await(t, "one is slow", func() bool {
			s := r.handler.Status()
			return s.Live == 1 && s.Slow == 1 && s.Replaying == 0
		})
		if n, err := rest(stuck, last); n != total || err != nil {
			t.Fatalf("the stuck client got %d events: %v", n, err)
		}
		r.await(t, "none is slow", func() bool {
			s := r.handler.Status()
			return s.Live == 2 && s.Slow == 0
		})
		stuck.resp.Body.Close()
		quick.resp.Body.Close()
		r.await(t, "both have gone", func() bool {
			s := r.handler.Status()
			return s.Live == 0 && s.Disconnects["gone"] == 2
		})
		s := r.handler.Status()
		if s.Connects != 2 || s.LiveEvents != 2*total || s.MissedEvents != 0 || s.Delay.Count != 2*total || s.Bytes < 2*total*1000 {
			t.Errorf("%+v", s)
		}
	})
}

// Rejected connections are not counted.
func TestStatus_Ends_AreCountedByReason(t *testing.T) {
	with := slowSetup("http1")
	with.opts.WriteTimeout, with.opts.MaxIdle = 100*time.Millisecond, time.Hour
	r := newHarness(t, with)
	r.publish(1, "n.all")
	r.opened(t, "?from=all")
	stuck, _ := r.opened(t, "", "Last-Event-ID", "99-e1")
	for range 3000 {
		r.Publish("n.user.x", "", nil)
		r.Publish("n.all", "", make([]byte, 1000))
	}
	r.await(t, "both are cut off", func() bool { return r.handler.Status().Disconnects["timeout"] == 2 })
	stuck.resp.Body.Close()
	gone, _ := r.opened(t, "")
	gone.resp.Body.Close()
	r.await(t, "one has gone", func() bool { return r.handler.Status().Disconnects["gone"] == 1 })
	r.opened(t, "")
	if err := r.handler.Drain(r.ctx, 0); err != nil {
		t.Fatal(err)
	}
	r.subscribe(t, "").resp.Body.Close() // turned away
	s := r.handler.Status()
	if s.Connects != 4 || s.Disconnects["drain"] != 1 || s.Gaps[feed.Future] != 1 || s.MissedEvents == 0 {
		t.Errorf("%+v", s)
	}
	if n := s.Live + s.Replaying + s.Slow; n != 0 {
		t.Errorf("%d streams are left", n)
	}
}
