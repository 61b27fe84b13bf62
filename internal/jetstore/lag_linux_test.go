package jetstore_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

// lagRig is a cluster in which one follower is late by a fixed time with the stream, and with
// nothing else: it takes part in all that the leader of the cluster decides, and answers at
// once. Its consumers say that nothing is pending while the stream's leader has more.
type lagRig struct {
	*processes
	meta, lead, late int
}

func newLagRig(t *testing.T, by time.Duration) *lagRig {
	t.Helper()
	r := &lagRig{processes: newProcesses(t)}
	r.meta = r.metaLeader()
	r.lead = r.leadElsewhere(r.meta)
	r.late = 3 - r.meta - r.lead
	r.delay(r.lead, r.late, by)
	r.use(r.nodes[r.meta].url) // what the test itself asks is not late
	return r
}

// connected opens the stream, and publishes, through the node whose links are all fast.
func (r *lagRig) connected(opts jetstore.Options) (*jetstore.Store, *jetstore.Publisher) {
	r.t.Helper()
	nc := connectTo(r.t, jetstore.ConnectOptions{URL: r.nodes[r.meta].url})
	p, err := jetstore.NewPublisher(nc, jetstore.PublisherOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(p.Close)
	return r.openOn(nc, opts), p
}

// lag is how far the late node is behind the leader.
func (r *lagRig) lag() uint64 {
	late := r.nodes[r.late].last() // asked first: the difference is not too large by what comes between
	lead := r.nodes[r.lead].last()
	return lead - min(late, lead)
}

// watch collects, until ctx ends, the consumers that sat on the late node, and the most that it was late by.
func (r *lagRig) watch(ctx context.Context) (onLate map[string]bool, most uint64) {
	onLate = map[string]bool{}
	for ctx.Err() == nil {
		lag := r.lag()
		most = max(most, lag)
		for name, host := range r.hosts("tidemark-") {
			if host == r.late && lag > 0 {
				onLate[name] = true
			}
		}
	}
	return onLate, most
}

// lagClient comes back again and again to a feed, with the position that it left with, and
// counts what it gets.
type lagClient struct {
	t    *testing.T
	feed *feed.Feed
	id   string
	next uint64
}

func (c *lagClient) visit(ctx context.Context, events int, total uint64) {
	sub, err := c.feed.Subscribe(ctx, feed.SubscribeOptions{Start: feed.Resume(c.id), Filters: []string{"notifications.n"}, ReplayFromLog: true})
	if err != nil {
		c.t.Error(err)
		return
	}
	defer sub.Close()
	if gap := sub.Opening().Gap; gap != nil {
		c.t.Errorf("at %s a gap: %+v", c.id, gap)
	}
	for n := 0; n < events && c.next <= total && !c.t.Failed(); {
		d, err := sub.Next(ctx)
		if err != nil {
			c.t.Errorf("at %s, before %d: %v", c.id, c.next, err)
			return
		}
		if d.Gap != nil {
			c.t.Errorf("at %s a gap: %+v", c.id, d.Gap)
		}
		for _, f := range d.Frames {
			c.take(f)
			n++
		}
	}
}

func (c *lagClient) take(f *feed.Frame) {
	if f.Seq != c.next { // nothing else is stored, so that sequences are the numbers
		c.t.Errorf("event %d came when %d was due", f.Seq, c.next)
	}
	c.next = f.Seq + 1
	c.id = strconv.FormatUint(f.Seq, 10)
}

// Clients come back while a follower is late, and some of their consumers land on it.
func TestReplicaLagMakesNoGap(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long; not with -short")
	}
	const total, clients = 6000, 12
	r := newLagRig(t, 1500*time.Millisecond)
	log, p := r.connected(jetstore.Options{})
	f := feed.New(log, feed.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var around, coming sync.WaitGroup
	around.Go(func() { _ = f.Run(ctx) })
	var onLate map[string]bool
	var most uint64
	around.Go(func() { onLate, most = r.watch(ctx) })
	var visits atomic.Int64
	coming.Go(func() {
		if err := r.numbered(p, 1, total); err != nil {
			t.Error(err)
		}
	})
	for n := range clients {
		coming.Go(func() {
			c := lagClient{t: t, feed: f, id: "0", next: 1}
			for c.next <= total && !t.Failed() {
				c.visit(ctx, 40+n*17, total)
				visits.Add(1)
			}
		})
	}
	coming.Wait()
	cancel()
	around.Wait()
	t.Logf("%d visits; %d consumers on the late follower, which was up to %d events behind", visits.Load(), len(onLate), most)
	if len(onLate) == 0 || most == 0 {
		t.Error("no consumer sat on a follower that was late: the test has shown nothing")
	}
}

// A tail whose consumer sits on a follower that is late moves to another, and misses nothing.
func TestTailLeavesAReplicaThatIsLate(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long; not with -short")
	}
	r := newLagRig(t, 3*time.Second)
	log, p := r.connected(jetstore.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var working sync.WaitGroup
	working.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			if err := r.numbered(p, n, n); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Millisecond)
		}
	})
	working.Go(func() {
		c := counter{t: t, next: 1}
		for ev, err := range log.Follow(ctx, feed.FollowOptions{From: 1}) {
			if err != nil || ev.Seq != uint64(c.next) {
				t.Errorf("event %d, %v; %d was due", ev.Seq, err, c.next)
				return
			}
			c.next++
		}
	})
	r.await("the tail comes to the late follower", func() bool {
		name, host := r.tail()
		if host != r.late {
			_ = r.js.DeleteConsumer(ctx, streamName, name)
		}
		return host == r.late
	})
	start := time.Now()
	r.await("the tail leaves it", func() bool { return r.tailHost() != r.late })
	t.Logf("the tail left after %v a follower that was %d events behind", time.Since(start).Round(time.Millisecond), r.lag())
	cancel()
	working.Wait()
}
