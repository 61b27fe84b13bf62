package jetstore_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

// eachDisturbance runs a case for everything that can take a consumer away.
func eachDisturbance(t *testing.T, run func(t *testing.T, s *stand, disturb func())) {
	t.Run("server restarted", func(t *testing.T) {
		s := newStand(t)
		run(t, s, s.restart)
	})
	t.Run("connection lost", func(t *testing.T) {
		s := newStand(t)
		run(t, s, func() {
			if err := s.nc.ForceReconnect(); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("consumers deleted", func(t *testing.T) {
		s := newStand(t)
		run(t, s, s.deleteConsumers)
	})
}

func (s *stand) deleteConsumers() {
	s.t.Helper()
	for _, name := range s.consumers("tidemark-") {
		if err := s.js.DeleteConsumer(s.ctx(), streamName, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			s.t.Error(err)
		}
	}
}

func TestFollowHeals(t *testing.T) {
	eachDisturbance(t, func(t *testing.T, s *stand, disturb func()) {
		const total = 3000
		l, p := s.open(jetstore.Options{}), s.publisher()
		var publishing sync.WaitGroup
		publishing.Go(func() {
			if err := s.numbered(p, 1, total); err != nil {
				t.Error(err)
			}
		})
		defer publishing.Wait()
		c := counter{t: t, next: 1}
		c.follow(s.ctx(), l, feed.FollowOptions{From: 1, Epoch: s.epoch(l)}, total, func(n int) {
			if n%1000 == 500 {
				disturb()
			}
		})
	})
}

func TestFollowHealsWhileIdle(t *testing.T) {
	eachDisturbance(t, func(t *testing.T, s *stand, disturb func()) {
		l, p := s.open(jetstore.Options{}), s.publisher()
		if err := s.numbered(p, 1, 1); err != nil {
			t.Fatal(err)
		}
		var publishing sync.WaitGroup
		defer publishing.Wait()
		c := counter{t: t, next: 1}
		c.follow(s.ctx(), l, feed.FollowOptions{From: 1, Epoch: s.epoch(l)}, 2, func(int) {
			publishing.Go(func() {
				s.await("the tail pulls", func() bool { return len(s.consumers("tidemark-tail-")) > 0 })
				disturb()
				if err := s.numbered(p, 2, 2); err != nil {
					t.Error(err)
				}
			})
		})
	})
}

func TestReplayHeals(t *testing.T) {
	eachDisturbance(t, func(t *testing.T, s *stand, disturb func()) {
		const total = 2000
		l := s.open(jetstore.Options{Batch: 100})
		s.publishMany(total, "notifications.n")
		r, err := l.Read(s.ctx(), feed.ReadOptions{From: 1, To: total})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		c := counter{t: t}
		for batch := 1; ; batch++ {
			b, err := r.Next(s.ctx())
			for _, ev := range b.Events {
				c.take(ev)
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if batch%8 == 3 {
				disturb()
			}
		}
		if c.next != total {
			t.Errorf("%d events of %d", c.next, total)
		}
	})
}

// A caller that takes its time must not be taken for a consumer that is silent, nor lose
// what is dropped meanwhile.
func TestFollowSlowCaller(t *testing.T) {
	s := newStand(t)
	const total = 500
	l := s.open(jetstore.Options{Heartbeat: 10 * time.Millisecond, FollowBatch: 100})
	s.publishMany(total, "notifications.n")
	c := counter{t: t}
	c.follow(s.ctx(), l, feed.FollowOptions{From: 1, Epoch: s.epoch(l)}, total-1, func(n int) {
		if n%150 == 20 {
			time.Sleep(time.Second) // more heartbeats than the channel holds
		}
	})
}

var statuses = []string{"100", "404", "408", "409", "503"}

// publishPoison stores messages that pose as statuses of the server, among others.
func (s *stand) publishPoison(rounds int) (total int) {
	s.t.Helper()
	for n := range rounds {
		for _, status := range statuses {
			header := nats.Header{"Status": {status}, "Description": {"Consumer Deleted"}}
			s.publish("notifications.poison", nil, header)
			s.publish("notifications.n", fmt.Append(nil, n), nil)
		}
	}
	return rounds * len(statuses) * 2
}

func TestPoisonPill(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{Batch: 7})
	const rounds = 60
	total := uint64(rounds * len(statuses) * 2)
	opts := feed.FollowOptions{From: 1, Epoch: s.epoch(l)}
	var publishing sync.WaitGroup
	publishing.Go(func() { s.publishPoison(rounds) })
	defer publishing.Wait()
	next := uint64(1)
	for ev, err := range l.Follow(s.ctx(), opts) {
		if err != nil || ev.Seq != next {
			t.Fatalf("followed %d, %v; want %d", ev.Seq, err, next)
		}
		if next++; next > total {
			break
		}
	}
	for _, filters := range [][]string{nil, {"notifications.poison"}} {
		want := total / uint64(1+len(filters))
		got, _ := s.read(l, feed.ReadOptions{From: 1, To: total, Filters: filters})
		if uint64(len(got)) != want || !slices.IsSorted(got) {
			t.Errorf("filters %v: %d events, want %d", filters, len(got), want)
		}
	}
	if got := s.consumers("tidemark-tail-"); len(got) > 1 {
		t.Errorf("poison made the tail change its consumer: %v", got)
	}
}

// read returns the sequences of a whole replay, and the state at its end.
func (s *stand) read(l *jetstore.Store, opts feed.ReadOptions) (seqs []uint64, end feed.State) {
	s.t.Helper()
	r, err := l.Read(s.ctx(), opts)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Close()
	for {
		batch, err := r.Next(s.ctx())
		for _, ev := range batch.Events {
			seqs = append(seqs, ev.Seq)
		}
		if errors.Is(err, io.EOF) {
			return seqs, batch.State
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}
