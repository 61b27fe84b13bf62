package server_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/server"
)

// The stream is deleted during publishes that replace older events, and is created again. The node is ready, and
// serves, each time.
func TestReadyz_StreamDeletedWhileItHasHoles_IsReadyWithTheNext(t *testing.T) {
	cfg := testStream()
	cfg.MaxMsgsPerSubject, cfg.Storage = 1, jetstream.MemoryStorage
	r := newHarness(t, func(o *server.Options) { o.Streams = []jetstream.StreamConfig{cfg} })
	for range 10 {
		r.publish("notifications.user.42", 1, 1)
		var deleting sync.WaitGroup
		deleting.Go(func() {
			if err := r.js.DeleteStream(t.Context(), "NOTIFICATIONS"); err != nil {
				t.Error(err)
			}
		})
		for range 2000 {
			if err := r.nc.Publish("notifications.k", make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.nc.Flush(); err != nil {
			t.Fatal(err)
		}
		deleting.Wait()
		r.eventually("not ready without the stream", func() bool { return r.status("/readyz") == http.StatusServiceUnavailable })
		if _, err := r.js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		r.awaitReady()
	}
	live := r.listen(me, "")
	live.want("tidemark.open")
	r.publish("notifications.user.42", 1, 1)
	live.wantNumbers(1, 1)
}

// The newest events are deleted before the tail has read them, and nothing is published afterwards. The node
// becomes ready, with as many consumers as before.
func TestReadyz_NewestEventsDeletedUnread_IsReady(t *testing.T) {
	r := newHarness(t, withAdmin)
	r.publish("notifications.user.42", 1, 20)
	unread := uint64(0)
	for try := 0; unread == 0 && try < 50; try++ {
		for range 2000 {
			if err := r.nc.Publish("notifications.k", make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.stream().Purge(t.Context(), jetstream.WithPurgeSubject("notifications.k")); err != nil {
			t.Fatal(err)
		}
		s := r.scrape(r.admin("/metrics"))
		unread = uint64(s.value(`tail_lag_events{stream="NOTIFICATIONS"}`))
	}
	if unread == 0 {
		t.Skip("the tail read all events before they were deleted")
	}
	r.eventually("the tail to catch up", func() bool {
		s := r.scrape(r.admin("/metrics"))
		return s.value(`tail_lag_events{stream="NOTIFICATIONS"}`) == 0 &&
			s.value(`tail_up{stream="NOTIFICATIONS"}`) == 1
	})
	r.awaitReady()
	live := r.listen(me, "20")
	live.want("tidemark.open", "tidemark.gap possible")
	r.publish("notifications.user.42", 21, 21)
	live.wantNumbers(21, 21)
}
