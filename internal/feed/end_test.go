package feed_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

func (r *harness) untilEnd(t *testing.T, from string, filters ...string) *feed.Subscription {
	t.Helper()
	start, err := feed.ParseFrom(from, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	sub, err := r.feed.Subscribe(r.ctx, feed.SubscribeOptions{Filters: filters, Start: start, UntilEnd: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Close)
	return sub
}

// An end that was read and not sent is read again after a suspension. Where it is deleted in between, it was never
// delivered, and the subject is open. A replay of the latest events has no gap for it.
func TestUntilEnd_UnsentEndIsDeleted_StaysOpen(t *testing.T) {
	for from, gaps := range map[string][]string{"all": {"gap:possible"}, "last": nil} {
		synctest.Test(t, func(t *testing.T) {
			r := newHarness(t, nil, feed.Options{WindowEvents: 1})
			r.publish(2, "n.a")
			r.PublishEnd("n.a", []byte("x"))
			r.publish(2, "n.b")
			synctest.Wait()
			sub := r.untilEnd(t, from, "n.a")
			if _, behind, err := sub.Poll(1 << 20); err != nil || !behind {
				t.Fatalf("Poll: behind %v, %v", behind, err)
			}
			d, err := sub.Fetch(r.ctx)
			n := len(d.Frames) - 1
			if err != nil || n < 0 || !d.Frames[n].End() {
				t.Fatalf("Fetch: %d frames, %v", n+1, err)
			}
			if !sub.Suspend(d.Frames[n:]) {
				t.Fatal("the replay is not suspended")
			}
			r.Delete(3)
			c := &client{sub: sub}
			c.drain(t, r)
			c.want(t, gaps...)
			r.PublishEnd("n.a", []byte("x"))
			c.step(t, r.ctx)
			c.want(t, append(gaps, "6")...)
			if _, err := sub.Next(r.ctx); !errors.Is(err, feed.ErrComplete) {
				t.Errorf("from=%s, after the end: %v", from, err)
			}
		})
	}
}

func TestUntilEnd_Wildcards_AreRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		for _, filters := range [][]string{nil, {"n.*"}, {"n.a", "n.b.>"}} {
			if _, err := r.feed.Subscribe(r.ctx, feed.SubscribeOptions{Filters: filters, UntilEnd: true}); err == nil {
				t.Errorf("%q is accepted", filters)
			}
		}
	})
}

// Complete compares the position of a client with the window, and with the store where the window does not reach.
func TestComplete_Positions_AreCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, window := range map[string]int{"window": 0, "store": 1} {
			r := newHarness(t, nil, feed.Options{WindowEvents: window})
			r.publish(1, "n.a")
			r.PublishEnd("n.a", []byte("x"))
			r.PublishEnd("n.b", []byte("x"))
			r.publish(1, "n.open")
			r.publish(2, "n.other")
			synctest.Wait()
			for position, want := range map[string]bool{
				"3-e1": true, "6-e1": true, "6": true, "2-e1": false, "0-e1": false, "7-e1": false, "6-e2": false, "x": false, "": false,
			} {
				complete, err := r.feed.Complete(r.ctx, []string{"n.a", "n.b"}, feed.Resume(position))
				if err != nil || complete != want {
					t.Errorf("%s: at %q complete is %v, %v; want %v", name, position, complete, err, want)
				}
			}
			for _, subjects := range [][]string{{"n.a", "n.open"}, {"n.none"}, {"n.a", "n.none"}} {
				if complete, err := r.feed.Complete(r.ctx, subjects, feed.Resume("6-e1")); err != nil || complete {
					t.Errorf("%s: %q are complete, %v", name, subjects, err)
				}
			}
		}
	})
}
