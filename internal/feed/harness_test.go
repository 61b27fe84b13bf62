package feed_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

// harness is a running feed over a store in memory.
type harness struct {
	*feedtest.MemStore
	feed      *feed.Feed
	ctx       context.Context
	fromStore bool
}

// fromStore marks a harness whose subscriptions always begin with the store.
var fromStore = feed.Options{MaxPending: 127}

// newHarness starts a feed over store; nil means an empty store. In a synctest bubble all goroutines
// end with the test.
func newHarness(t *testing.T, store *feedtest.MemStore, opts feed.Options) *harness {
	t.Helper()
	if store == nil {
		store = feedtest.NewMemStore()
	}
	return newHarnessOn(t, store, store, opts)
}

// newHarnessOn starts a feed that reads behind. The events of behind are in store.
func newHarnessOn(t *testing.T, behind feed.Store, store *feedtest.MemStore, opts feed.Options) *harness {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &harness{MemStore: store, feed: feed.New(behind, opts), ctx: ctx, fromStore: opts.MaxPending == fromStore.MaxPending}
	var tail sync.WaitGroup
	tail.Go(func() { _ = r.feed.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		tail.Wait()
		if n := store.OpenReaders(); n != 0 {
			t.Errorf("%d readers were left open", n)
		}
	})
	return r
}

// publish stores n numbered events on a subject.
func (r *harness) publish(n int, subject string) {
	for range n {
		r.Publish(subject, "", []byte("x"))
	}
}

// client collects the frames and gaps of a subscription.
type client struct {
	sub  *feed.Subscription
	seqs []uint64
	gaps []feed.Gap
	log  []string // "3 4 gap:trimmed 9", in the order of arrival
}

func (r *harness) subscribe(t *testing.T, start feed.Start, filters ...string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 10*time.Second)
	defer cancel()
	sub, err := r.feed.Subscribe(ctx, feed.SubscribeOptions{Filters: filters, Start: start, ReplayFromStore: r.fromStore})
	if err != nil {
		t.Fatalf("Subscribe: %v", err)
	}
	t.Cleanup(sub.Close)
	c := &client{sub: sub}
	if gap := sub.StartInfo().Gap; gap != nil {
		c.record(feed.Delivery{Gap: gap})
	}
	return c
}

func (c *client) record(d feed.Delivery) {
	if d.Gap != nil {
		c.gaps = append(c.gaps, *d.Gap)
		c.log = append(c.log, "gap:"+string(d.Gap.Reason))
	}
	for _, f := range d.Frames {
		c.seqs = append(c.seqs, f.Seq)
		c.log = append(c.log, strconv.FormatUint(f.Seq, 10))
	}
}

// step calls Next once.
func (c *client) step(t *testing.T, ctx context.Context) {
	t.Helper()
	d, err := c.sub.Next(ctx)
	if err != nil {
		t.Fatalf("Next: %v", err)
	}
	c.record(d)
}

// drain calls Next until nothing has arrived for some time. In a synctest bubble the time is not
// real, and proves that nothing more is under way.
func (c *client) drain(t *testing.T, r *harness) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(r.ctx, 5*time.Second)
		d, err := c.sub.Next(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return
		}
		if err != nil {
			t.Fatalf("Next: %v", err)
		}
		c.record(d)
	}
}

// until calls Next until the sequence last was received.
func (c *client) until(ctx context.Context, last uint64) error {
	for len(c.seqs) == 0 || c.seqs[len(c.seqs)-1] < last {
		d, err := c.sub.Next(ctx)
		if err != nil {
			return fmt.Errorf("after %d events: %w", len(c.seqs), err)
		}
		c.record(d)
	}
	return nil
}

func (c *client) want(t *testing.T, log ...string) {
	t.Helper()
	if !slices.Equal(c.log, log) {
		t.Errorf("received %v, want %v", c.log, log)
	}
}

func span(from, to uint64) (seqs []uint64) {
	for seq := from; seq <= to; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}

func texts(seqs []uint64) (out []string) {
	for _, s := range seqs {
		out = append(out, strconv.FormatUint(s, 10))
	}
	return out
}

// newStoreDown is a store with one event that is out of reach.
func newStoreDown() *feedtest.MemStore {
	store := feedtest.NewMemStore()
	store.Publish("n.a", "", nil)
	store.SetDown(errors.New("not up yet"))
	return store
}
