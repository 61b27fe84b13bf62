package feed_test

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

// lateStore is a store whose tail detects a loss only when it is released.
type lateStore struct {
	*feedtest.MemStore
	release chan struct{}
}

func (l *lateStore) Follow(ctx context.Context, opts feed.FollowOptions) iter.Seq2[feed.Event, error] {
	return func(yield func(feed.Event, error) bool) {
		for ev, err := range l.MemStore.Follow(ctx, opts) {
			if err != nil {
				select {
				case <-l.release:
				case <-ctx.Done():
				}
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

// A client that has a position of the present incarnation from another node resumes there, although this
// node's tail is still in the incarnation before.
func TestSubscribe_TailInTheIncarnationBefore_ResumesInThePresentOne(t *testing.T) {
	for id, want := range map[string]string{
		"4-e2": "5", "0-e2": "1 2 3 4 5", "5-e2": "",
		"3-e1": "gap:epoch 1 2 3 4 5", "9-e2": "gap:future", "4-e9": "gap:epoch 1 2 3 4 5",
		"4": "5", // in the present epoch
	} {
		for _, always := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				l := &lateStore{feedtest.NewMemStore(), make(chan struct{})}
				r := newHarnessOn(t, l, l.MemStore, feed.Options{WindowEvents: 2})
				r.fromStore = always
				r.publish(3, "n.a")
				<-r.feed.Ready()
				synctest.Wait()
				r.Recreate()
				r.publish(5, "n.a")
				synctest.Wait()
				c := r.subscribe(t, feed.Resume(id), "n.a")
				close(l.release)
				c.drain(t, r)
				if got := strings.Join(c.log, " "); got != want {
					t.Errorf("%s, from the store always: %v: received %q, want %q", id, always, got, want)
				}
			})
		}
	}
}

// hookStore runs something before a request to the store, once.
type hookStore struct {
	*feedtest.MemStore
	mu    sync.Mutex
	hooks map[string]func()
}

func (l *hookStore) run(at string) {
	l.mu.Lock()
	hook := l.hooks[at]
	delete(l.hooks, at)
	l.mu.Unlock()
	if hook != nil {
		hook()
	}
}

func (l *hookStore) set(at string, hook func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hooks = map[string]func(){at: hook}
}

func (l *hookStore) State(ctx context.Context) (feed.State, error) {
	l.run("before state")
	state, err := l.MemStore.State(ctx)
	l.run("after state")
	return state, err
}

func (l *hookStore) SeqAt(ctx context.Context, t time.Time) (uint64, error) {
	l.run("before time")
	return l.MemStore.SeqAt(ctx, t)
}

func (l *hookStore) Read(ctx context.Context, opts feed.ReadOptions) (feed.Reader, error) {
	l.run("before read")
	r, err := l.MemStore.Read(ctx, opts)
	return &hookReader{r, l}, err
}

type hookReader struct {
	feed.Reader
	store *hookStore
}

func (r *hookReader) Next(ctx context.Context) (feed.Batch, error) {
	batch, err := r.Reader.Next(ctx)
	r.store.run("after next")
	return batch, err
}

// hookHarness has ten events, and a hook that is armed when the feed has read them.
func hookHarness(t *testing.T, at string, hook func(r *harness)) *harness {
	r, l := hookHarnessUnarmed(t)
	l.set(at, func() { hook(r); synctest.Wait() }) // the tail has read it
	return r
}

func hookHarnessUnarmed(t *testing.T) (*harness, *hookStore) {
	l := &hookStore{MemStore: feedtest.NewMemStore()}
	r := newHarnessOn(t, l, l.MemStore, feed.Options{WindowEvents: 2})
	r.publish(10, "n.a")
	<-r.feed.Ready()
	synctest.Wait()
	return r, l
}

var openings = []string{"before state", "after state", "before read"}

// The stream is created again while a client subscribes. The client receives one gap and every event of
// the new stream, or no gap and the events after its position.
func TestSubscribe_RecreatedDuringTheOpening_AnnouncesTheEpochOnce(t *testing.T) {
	for _, at := range openings {
		synctest.Test(t, func(t *testing.T) {
			r := hookHarness(t, at, func(r *harness) { r.Recreate(); r.publish(4, "n.a") })
			c := r.subscribe(t, feed.Resume("5-e1"), "n.a")
			c.drain(t, r)
			c.want(t, append([]string{"gap:epoch"}, texts(span(1, 4))...)...)
		})
	}
	synctest.Test(t, func(t *testing.T) { // a position of another node in the new incarnation
		r := hookHarness(t, "before state", func(r *harness) { r.Recreate(); r.publish(4, "n.a") })
		c := r.subscribe(t, feed.Resume("3-e2"), "n.a")
		c.drain(t, r)
		c.want(t, "4")
	})
}

// The stream loses its end while a client subscribes at a lost position.
func TestSubscribe_EndLostDuringTheOpening_AnnouncesIt(t *testing.T) {
	for _, at := range openings {
		for _, refill := range []int{0, 3, 9} {
			synctest.Test(t, func(t *testing.T) {
				r := hookHarness(t, at, func(r *harness) { r.Rollback(5); r.publish(refill, "n.a") })
				c := r.subscribe(t, feed.Resume("7-e1"), "n.a")
				c.drain(t, r)
				r.publish(1, "n.a")
				c.drain(t, r)
				if len(c.gaps) == 0 || c.gaps[len(c.gaps)-1].Continues.Seq == 10 {
					t.Errorf("%s, %d stored again: received %v %+v", at, refill, c.log, c.gaps)
				}
				if last := c.seqs[len(c.seqs)-1]; last != uint64(6+refill) {
					t.Errorf("%s, %d stored again: ends at %d: %v", at, refill, last, c.log)
				}
			})
		}
	}
}

// A client that names no position receives no gap for events that were deleted before it connected. Losses
// while it subscribes are announced. A client that disconnects before the gap receives it when it resumes at
// the id of the opening.
func TestSubscribe_FromTheBeginningOrATime_KeepsTheGap(t *testing.T) {
	for _, from := range []string{"all", "1h"} {
		for at, c := range map[string]struct {
			hook func(r *harness)
			want string
			back string // received after a resume at the id of the opening; want when empty
		}{
			"after state":  {func(r *harness) { r.Trim(5) }, "gap:trimmed 5 6 7 8 9 10", ""},
			"before time":  {func(r *harness) { r.Recreate(); r.publish(3, "n.a") }, "gap:epoch 1 2 3", ""},
			"before state": {func(r *harness) { r.Delete(5) }, "1 2 3 4 6 7 8 9 10", "gap:possible 1 2 3 4 6 7 8 9 10"},
		} {
			if from == "all" && at == "before time" || from == "1h" && at == "after state" {
				continue // no time is requested, or it is requested afterwards
			}
			synctest.Test(t, func(t *testing.T) {
				r := hookHarness(t, at, c.hook)
				start, err := feed.ParseFrom(from, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				got := r.subscribe(t, start, "n.a")
				back := r.subscribe(t, feed.Resume(got.sub.StartInfo().ID), "n.a")
				for client, want := range map[*client]string{got: c.want, back: cmp.Or(c.back, c.want)} {
					client.drain(t, r)
					if received := strings.Join(client.log, " "); received != want {
						t.Errorf("from %s, %s: received %q, want %q (opening %+v)", from, at, received, want, client.sub.StartInfo())
					}
				}
			})
		}
	}
}

// A client that names no position has no events that others could have replaced.
func TestSubscribe_FromNewWhereSequencesWereReused_HasNoGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		r.publish(10, "n.a")
		synctest.Wait()
		r.Rollback(5)
		r.publish(2, "n.a")
		synctest.Wait()
		c := r.subscribe(t, feed.Start{}, "n.a")
		r.publish(1, "n.a")
		c.drain(t, r)
		c.want(t, "8")
	})
}

// The stream loses its end while a client that names no position subscribes. Its first start position does
// not matter.
func TestSubscribe_EndLostBeforeTheBeginningIsLookedUp_DeliversAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := hookHarness(t, "before state", func(r *harness) { r.Rollback(5); r.publish(2, "n.a") })
		start, _ := feed.ParseFrom("all", time.Now())
		c := r.subscribe(t, start, "n.a")
		c.drain(t, r)
		c.want(t, texts(span(1, 7))...)
	})
}

// The stream loses its end after the opening has found a gap.
func TestSubscribe_EndLostBehindTheGapOfTheOpening_AnnouncesBoth(t *testing.T) {
	for refill, want := range map[int]string{1: "gap:trimmed gap:future 8 9", 4: "gap:trimmed gap:possible 9 10 11 12"} {
		synctest.Test(t, func(t *testing.T) {
			r, l := hookHarnessUnarmed(t)
			r.Trim(9)
			l.set("before read", func() { r.Rollback(6); r.publish(refill, "n.a"); synctest.Wait() })
			c := r.subscribe(t, feed.Resume("3-e1"), "n.a")
			c.drain(t, r)
			r.publish(2, "n.a")
			c.drain(t, r)
			if got := strings.Join(c.log, " "); got != want {
				t.Errorf("%d stored again: received %q, want %q", refill, got, want)
			}
		})
	}
}

// A batch that was read while the stream lost its end may be from before or after the loss.
func TestFetch_EndLostWhileABatchIsRead_DeliversItOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := hookHarnessUnarmed(t)
		c := r.subscribe(t, feed.Resume("0-e1"), "n.a")
		c.step(t, r.ctx) // 1 2 3
		l.set("after next", func() { r.Rollback(5); r.publish(9, "n.a"); synctest.Wait() })
		c.drain(t, r)
		c.want(t, texts(span(1, 14))...)
	})
}

// The stream loses its end, and grows past it, after the tail has met a deleted sequence. The tail detects it
// by the messages that it had read before.
func TestTail_EndLostAtAHole_FindsTheReusedSequences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := hookHarnessUnarmed(t)
		r.SetDown(errors.New("cut"))
		r.publish(3, "n.a") // 11 12 13
		r.Delete(12)
		l.set("before state", func() { r.Rollback(8); r.publish(9, "n.a") })
		r.SetDown(nil)
		time.Sleep(2 * time.Second) // the feed reads the state of the stream once a second
		synctest.Wait()
		c := r.subscribe(t, feed.Resume("11-e1"), "n.a")
		c.drain(t, r)
		c.want(t, append([]string{"gap:possible"}, texts(span(12, 17))...)...)
	})
}
