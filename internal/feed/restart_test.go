package feed_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

// goneStore answers State with an error for a number of times.
type goneStore struct {
	*feedtest.MemStore
	err  error
	left atomic.Int32
}

func (l *goneStore) State(ctx context.Context) (feed.State, error) {
	if l.left.Add(-1) >= 0 {
		return feed.State{}, l.err
	}
	return l.MemStore.State(ctx)
}

// No answer of the store between a deleted sequence and the next request for its state ends the feed.
func TestRun_StateFailsAtAHole_ContinuesBehindTheHole(t *testing.T) {
	for name, err := range map[string]error{"stream deleted": feed.ErrNoStream, "any error": errors.New("no leader")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &goneStore{MemStore: feedtest.NewMemStore(), err: err}
				r := newHarnessOn(t, store, store.MemStore, feed.Options{})
				r.publish(1, "n.a")
				c := r.subscribe(t, feed.Resume("1-e1"), "n.a")
				c.drain(t, r)
				r.SetDown(errors.New("cut"))
				r.publish(2, "n.a")
				r.Delete(2)
				store.left.Store(3)
				r.SetDown(nil)
				c.drain(t, r)
				r.publish(1, "n.a")
				c.drain(t, r)
				c.want(t, "gap:possible", "3", "4")
				if s := r.feed.Status(); s.Lost != nil || s.High != 4 || s.TailFailures != 0 {
					t.Errorf("status %+v", s)
				}
			})
		})
	}
}

// failingStore fails at Follow, or ends it without an error, for a number of times.
type failingStore struct {
	*feedtest.MemStore
	err      error
	failures atomic.Int32
}

func (l *failingStore) Follow(ctx context.Context, opts feed.FollowOptions) iter.Seq2[feed.Event, error] {
	return func(yield func(feed.Event, error) bool) {
		if l.failures.Add(-1) < 0 {
			l.MemStore.Follow(ctx, opts)(yield)
		} else if l.err != nil {
			yield(feed.Event{}, l.err)
		}
	}
}

// A tail that fails is restarted. Clients stay connected, and the status shows the failure until
// the stream is followed again.
func TestRun_FollowFails_RestartsTheTail(t *testing.T) {
	for name, err := range map[string]error{"error": errors.New("out of memory"), "no error": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &failingStore{MemStore: feedtest.NewMemStore(), err: err}
				const failures = 9
				store.failures.Store(failures)
				r := newHarnessOn(t, store, store.MemStore, feed.Options{})
				<-r.feed.Ready()
				c := r.subscribe(t, feed.Start{}, "n.a")
				r.publish(3, "n.a")
				synctest.Wait()
				s := r.feed.Status()
				if cause, ok := errors.AsType[*feed.TailError](s.Lost); !ok || err != nil && !errors.Is(cause, err) {
					t.Errorf("lost: %v", s.Lost)
				}
				time.Sleep(time.Minute)
				c.drain(t, r)
				c.want(t, "1", "2", "3")
				if s = r.feed.Status(); s.Lost != nil || s.TailFailures != failures {
					t.Errorf("lost %v after %d failures", s.Lost, s.TailFailures)
				}
			})
		})
	}
}

func TestRun_ContextEnds_DuringTheRestartPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &failingStore{MemStore: feedtest.NewMemStore(), err: errors.New("broken")}
		store.failures.Store(1 << 30)
		f := feed.New(store, feed.Options{})
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		time.Sleep(time.Hour)
		stop := errors.New("stop")
		cancel(stop)
		if err := <-ended; !errors.Is(err, stop) {
			t.Errorf("Run returned %v", err)
		}
		if n := f.Status().TailFailures; n < 700 || n > 750 { // at most every 5 s
			t.Errorf("%d restarts in an hour", n)
		}
	})
}
