package jetstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

// followToLoss follows from 1 and returns the loss that ends it. at runs in the middle of
// the given event, while the tail cannot see what it does.
func (s *stand) followToLoss(l *jetstore.Store, event uint64, at func()) *feed.LossError {
	s.t.Helper()
	ctx := s.ctx()
	for ev, err := range l.Follow(ctx, feed.FollowOptions{From: 1, Epoch: s.epoch(l), Born: s.state(l).Born}) {
		if loss, ok := errors.AsType[*feed.LossError](err); ok {
			return loss
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if ev.Seq == event {
			at()
		}
	}
	s.t.Fatalf("no loss was told: %v", ctx.Err())
	return nil
}

func (s *stand) expectLoss(got *feed.LossError, reason feed.Reason, from uint64) {
	s.t.Helper()
	if got.Reason != reason || got.From != from {
		s.t.Errorf("ended with %v, want %s at %d", got, reason, from)
	}
}

func TestFollowPurgedWhileAway(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{})
	s.publishMany(10, "notifications.a")
	loss := s.followToLoss(l, 10, func() {
		s.await("the tail is gone", func() bool { s.deleteConsumers(); return len(s.consumers("tidemark-")) == 0 })
		s.publishMany(10, "notifications.a")
		s.purge(16)
	})
	s.expectLoss(loss, feed.Trimmed, 11)
}

// What was deleted before it was read is a hole in the sequences, and no reason to end.
func TestFollow_DeletedWhileAway_SkipsSequence(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{})
	s.publishMany(10, "notifications.a")
	var got []uint64
	for ev, err := range l.Follow(s.ctx(), feed.FollowOptions{From: 1, Epoch: s.epoch(l), Born: s.state(l).Born}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ev.Seq)
		if ev.Seq == 10 {
			s.deleteMsg(3)
			s.deleteConsumers()
			s.publishMany(10, "notifications.a")
			s.deleteMsg(15)
		}
		if ev.Seq == 20 {
			break
		}
	}
	want := slices.DeleteFunc(span(1, 20), func(seq uint64) bool { return seq == 15 })
	if !slices.Equal(got, want) {
		t.Errorf("followed %v, want %v", got, want)
	}
}

// A purge that passes a tail which is level takes nothing from it.
func TestFollowPurgedWhenLevel(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{})
	s.publishMany(10, "notifications.n")
	c := counter{t: t}
	var later sync.WaitGroup
	defer later.Wait()
	c.follow(s.ctx(), l, feed.FollowOptions{From: 1, Epoch: s.epoch(l)}, 10, func(n int) {
		if n == 9 {
			s.purge(11)
			s.deleteConsumers()
			later.Go(func() { s.publish("notifications.n", []byte("10"), nil) })
		}
	})
}

func TestFollowStreamDeletedForAWhile(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{})
	s.publishMany(3, "notifications.a")
	opts := feed.FollowOptions{From: 1, Epoch: s.epoch(l)}
	gone := make(chan struct{})
	var once sync.Once
	opts.Contact = func(err error) {
		if errors.Is(err, feed.ErrNoStream) {
			once.Do(func() { close(gone) })
		}
	}
	var recreate sync.WaitGroup
	defer recreate.Wait()
	for ev, err := range l.Follow(s.ctx(), opts) {
		if loss, ok := errors.AsType[*feed.LossError](err); ok {
			s.expectLoss(loss, feed.NewEpoch, 4)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if ev.Seq == 3 {
			s.deleteStream()
			recreate.Go(func() {
				<-gone
				s.createStream(jetstream.StreamConfig{})
			})
		}
	}
	t.Error("the other incarnation was not told")
}

// backup copies the store, and returns what brings the server back to it.
func (s *stand) backup() (restore func()) {
	s.t.Helper()
	saved := filepath.Join(s.t.TempDir(), "saved")
	s.srv.Stop()
	s.copyDir(saved, s.opts.Dir)
	s.start()
	return func() {
		s.srv.Stop()
		if err := os.RemoveAll(s.opts.Dir); err != nil {
			s.t.Fatal(err)
		}
		s.copyDir(s.opts.Dir, saved)
		s.start()
	}
}

func (s *stand) copyDir(to, from string) {
	s.t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		s.t.Fatal(err)
	}
}

func TestFollowRolledBack(t *testing.T) {
	for name, c := range map[string]struct {
		refill int
		want   feed.Reason
	}{
		"shorter than before": {3, feed.Future},
		"filled again":        {20, feed.Possible},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			l := s.open(jetstore.Options{})
			s.publishMany(5, "notifications.a")
			restore := s.backup()
			s.answered()
			s.publishMany(5, "notifications.a")
			loss := s.followToLoss(l, 10, func() {
				restore()
				s.answered()
				s.publishMany(c.refill, "notifications.a")
			})
			s.expectLoss(loss, c.want, 11)
			if !loss.Again || loss.Kept < 1 || loss.Kept > 5 {
				t.Errorf("kept up to %d, of the first 5", loss.Kept)
			}
		})
	}
}

func TestFollowEndsClean(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{})
	s.publishMany(10, "notifications.a")
	epoch := s.epoch(l)
	ctx, cancel := context.WithCancel(s.ctx())
	defer cancel()
	n := 0
	for _, err := range l.Follow(ctx, feed.FollowOptions{From: 1, Epoch: epoch}) {
		if err != nil {
			t.Errorf("a cancelled tail: %v", err)
		}
		if n++; n == 10 {
			cancel()
		}
	}
	for range l.Follow(s.ctx(), feed.FollowOptions{From: 1, Epoch: epoch}) {
		break
	}
	s.await("the tails' consumers are deleted", func() bool { return len(s.consumers("tidemark-")) == 0 })
}

func TestCloseEndsFollow(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{})
	s.publishMany(1, "notifications.a")
	var closing sync.WaitGroup
	defer closing.Wait()
	var last error
	for _, err := range l.Follow(s.ctx(), feed.FollowOptions{From: 1, Epoch: s.epoch(l)}) {
		if last = err; err == nil {
			closing.Go(l.Close)
		}
	}
	if !errors.Is(last, jetstore.ErrClosed) {
		t.Errorf("ended with %v", last)
	}
}
