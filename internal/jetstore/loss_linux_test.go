package jetstore_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

// silences remembers the longest time between two of the marks since it was reset.
type silences struct {
	mu      sync.Mutex
	last    time.Time
	longest time.Duration
	count   int
}

func (s *silences) mark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.longest, s.last = max(s.longest, now.Sub(s.last)), now
	s.count++
}

func (s *silences) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.longest, s.count = time.Now(), 0, 0
}

func (s *silences) since() (longest time.Duration, count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.longest, s.count
}

// lossRig is a cluster with a publisher that never rests and a tail, over connections that
// know all three servers.
type lossRig struct {
	*processes
	acked, live silences
}

func newLossRig(t *testing.T) (r *lossRig, stop func()) {
	t.Helper()
	r = &lossRig{processes: newProcesses(t)}
	log := r.openOn(connectTo(t, jetstore.ConnectOptions{URL: r.urls}), jetstore.Options{})
	p, err := jetstore.NewPublisher(connectTo(t, jetstore.ConnectOptions{URL: r.urls}), jetstore.PublisherOptions{AckTimeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() { r.publish(ctx, p) })
	working.Go(func() { r.follow(ctx, log) })
	return r, func() { cancel(); working.Wait() }
}

// publish stores numbers, about 200 a second. Each is repeated under its id until it is
// acknowledged: one that is stored twice, or not at all, is seen by the tail.
func (r *lossRig) publish(ctx context.Context, p *jetstore.Publisher) {
	for n := 1; ctx.Err() == nil; {
		text := strconv.Itoa(n)
		msg := feed.Message{Subject: "notifications.n", Data: []byte(text), ID: text}
		if p.Publish(ctx, msg)[0].Err == nil {
			r.acked.mark()
			n++
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *lossRig) follow(ctx context.Context, log *jetstore.Store) {
	c := counter{t: r.t, next: 1}
	for ev, err := range log.Follow(ctx, feed.FollowOptions{From: 1}) {
		if err != nil {
			r.t.Error(err)
			return
		}
		if n, err := strconv.Atoi(string(ev.Data)); err != nil || n != c.next {
			r.t.Errorf("event %d carries %q, want %d", ev.Seq, ev.Data, c.next)
			return
		}
		c.next++
		r.live.mark()
	}
}

// lose takes a node away and returns how long acknowledgements and live events then paused.
func (r *lossRig) lose(victim int, sig syscall.Signal) (acked, live time.Duration) {
	r.t.Helper()
	n := r.nodes[victim]
	r.acked.reset()
	r.live.reset()
	n.signal(r.t, sig)
	r.await("live events flow again", func() bool {
		_, a := r.acked.since()
		_, l := r.live.since()
		return a > 300 && l > 300 || r.t.Failed()
	})
	acked, _ = r.acked.since()
	live, _ = r.live.since()
	if sig == syscall.SIGSTOP {
		n.signal(r.t, syscall.SIGCONT)
	} else {
		n.kill()
		n.start(r.t)
	}
	r.awaitCurrent()
	return acked, live
}

// TestLossOfAServer takes servers from a cluster under a tail, which misses and repeats nothing.
// How long it takes is written down; TIDEMARK_TEST_RUNS takes each server away so many times.
func TestLossOfAServer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long; not with -short")
	}
	runs, _ := strconv.Atoi(os.Getenv("TIDEMARK_TEST_RUNS"))
	r, stop := newLossRig(t)
	defer stop()
	for _, c := range []struct {
		name   string
		sig    syscall.Signal
		victim func() int
	}{
		{"kill the consumer's host", syscall.SIGKILL, r.tailHost},
		{"stop the consumer's host", syscall.SIGSTOP, r.tailHost},
		{"kill the stream's leader", syscall.SIGKILL, r.leader},
		{"stop the stream's leader", syscall.SIGSTOP, r.leader},
	} {
		t.Run(c.name, func(t *testing.T) { r.measure(t, max(runs, 1), c.sig, c.victim) })
	}
}

func (r *lossRig) measure(t *testing.T, runs int, sig syscall.Signal, victim func() int) {
	var acks, lives []time.Duration
	for range runs {
		meta, lead, victim := r.metaLeader(), r.leader(), victim()
		acked, live := r.lose(victim, sig)
		if r.t.Failed() {
			return
		}
		t.Logf("acknowledgements paused %v, live events %v (it led the stream: %v, the cluster: %v)",
			acked.Round(time.Millisecond), live.Round(time.Millisecond), victim == lead, victim == meta)
		acks, lives = append(acks, acked), append(lives, live)
	}
	slices.Sort(acks)
	slices.Sort(lives)
	t.Logf("%d times: acknowledgements paused %v (median), %v (most); live events %v, %v",
		runs, acks[runs/2], acks[runs-1], lives[runs/2], lives[runs-1])
}
