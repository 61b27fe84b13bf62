package feed_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

// bell counts how often it was woken.
type bell struct{ rung atomic.Int64 }

func (b *bell) Wake() { b.rung.Add(1) }

// poller takes what a subscription gives without waiting, but for the log.
type poller struct {
	client
	room int
}

// empty polls, and fetches where it must, until there is nothing more.
func (p *poller) empty(t *testing.T, r *harness) {
	t.Helper()
	for {
		d, behind, err := p.sub.Poll(p.room)
		if err == nil && d.Empty() && behind {
			d, err = p.sub.Fetch(r.ctx)
		} else if err == nil && d.Empty() {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Frames) > 1 && p.room == 1 && !behind {
			t.Errorf("%d frames in room for none", len(d.Frames))
		}
		p.take(d)
	}
}

// TestPollInPieces: however little room there is, everything comes once and in order, from
// what is pending, from the window and from the log.
func TestPollInPieces(t *testing.T) {
	for name, opts := range ways {
		for _, room := range []int{1, 600, 1 << 20} {
			t.Run(name, func(t *testing.T) {
				const before, after = 40, 20
				r := newHarness(t, nil, opts)
				r.publish(before, "n.a")
				<-r.feed.Ready()
				c := r.subscribe(t, feed.Resume("0-e1"), "n.a")
				p := &poller{client: *c, room: room}
				p.empty(t, r)
				r.publish(after, "n.a")
				for len(p.seqs) < before+after {
					p.empty(t, r)
				}
				p.want(t, texts(span(1, before+after))...)
			})
		}
	}
}

// TestWaker: whoever was told that there is nothing is woken when there is something.
func TestWaker(t *testing.T) {
	r := newHarness(t, nil, feed.Options{MaxPending: 3})
	<-r.feed.Ready()
	c := r.subscribe(t, feed.Start{}, "n.a")
	var b bell
	c.sub.Notify(&b)
	if b.rung.Load() != 1 {
		t.Error("Notify itself must wake once: something may have come before it")
	}
	p := &poller{client: *c, room: 1 << 20}
	var publisher sync.WaitGroup
	const total = 2000 // far more than may wait: it falls behind, and comes back
	publisher.Go(func() { r.publish(total, "n.a") })
	for len(p.seqs) < total {
		before := b.rung.Load()
		p.empty(t, r)
		for len(p.seqs) < total && b.rung.Load() == before {
			if r.ctx.Err() != nil {
				t.Fatal("not woken")
			}
		}
	}
	publisher.Wait()
	p.want(t, texts(span(1, total))...)
}

func TestTrySubscribe(t *testing.T) {
	log := feedtest.NewMemStore()
	for range 10 {
		log.Publish("n.a", "", nil)
	}
	r := newHarness(t, log, feed.Options{WindowEvents: 4})
	<-r.feed.Ready() // the window is filled
	from := func(text string) feed.Start { s, _ := feed.ParseFrom(text, time.Now()); return s }
	for name, c := range map[string]struct {
		start feed.Start
		now   bool // without the log
	}{
		"new": {feed.Start{}, true}, "malformed": {feed.Resume("x"), true},
		"in the window": {feed.Resume("6-e1"), true}, "a bare sequence in the window": {feed.Resume("8"), true},
		"the end": {feed.Resume("10-e1"), true}, "before the window": {feed.Resume("5-e1"), false},
		"another epoch": {feed.Resume("8-e0"), false}, "beyond the end": {feed.Resume("11-e1"), false},
		"all": {from("all"), false}, "last": {from("last"), false}, "a time": {from("10m"), false},
	} {
		sub, err := r.feed.TrySubscribe(feed.SubscribeOptions{Filters: []string{"n.a"}, Start: c.start})
		if err != nil || (sub != nil) != c.now {
			t.Errorf("%s: subscription %v, error %v", name, sub != nil, err)
		}
		if sub != nil {
			sub.Close()
		}
	}
	if sub, _ := r.feed.TrySubscribe(feed.SubscribeOptions{Start: feed.Resume("8-e1"), ReplayFromStore: true}); sub != nil {
		t.Error("a resume that must take the log did not")
	}
	if _, err := r.feed.TrySubscribe(feed.SubscribeOptions{Filters: []string{"a..b"}}); err == nil {
		t.Error("a bad filter was taken")
	}
	status := r.feed.Status()
	if status.FromWindow != 3 || status.FromStore != 0 || status.Subscriptions != 0 {
		t.Errorf("status %+v", status)
	}
	r.subscribe(t, feed.Resume("2-e1"), "n.a")
	if got := r.feed.Status().FromStore; got != 1 {
		t.Errorf("%d resumes from the log, want 1", got)
	}
}

func TestTrySubscribeBeforeAndAfter(t *testing.T) {
	r := newHarness(t, newStoreDown(), feed.Options{})
	if sub, err := r.feed.TrySubscribe(feed.SubscribeOptions{}); sub != nil || err != nil {
		t.Errorf("before the feed is ready: %v, %v", sub, err)
	}
	stopped := feed.New(r.MemStore, feed.Options{})
	ended, end := context.WithCancel(context.Background())
	end()
	_ = stopped.Run(ended)
	if _, err := stopped.TrySubscribe(feed.SubscribeOptions{}); !errors.Is(err, feed.ErrClosed) {
		t.Errorf("after the feed has stopped: %v", err)
	}
	r.SetDown(nil)
}
