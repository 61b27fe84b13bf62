package feed_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

// publishAroundDeleted stores three events. The second is deleted before the tail reads it.
func (r *harness) publishAroundDeleted() {
	r.SetDown(errors.New("cut"))
	r.publish(1, "n.a")
	deleted := r.Publish("n.a", "", nil)
	r.publish(1, "n.a")
	r.Delete(deleted)
	r.SetDown(nil)
	synctest.Wait()
}

// A client that is not polled between two losses receives all events that are stored between them.
func TestReset_SecondLossBeforeThePoll_SkipsNothingStored(t *testing.T) {
	for name, second := range map[string]func(r *harness){
		"another hole": func(r *harness) { r.publishAroundDeleted() },
		"retention": func(r *harness) {
			r.SetDown(errors.New("cut"))
			r.publish(3, "n.a")
			r.Trim(5)
			r.SetDown(nil)
		},
		"two more holes": func(r *harness) { r.publishAroundDeleted(); r.publishAroundDeleted() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newHarness(t, nil, feed.Options{})
				r.publish(3, "n.a")
				live := r.subscribe(t, feed.Resume("3-e1"))
				live.drain(t, r)
				r.publishAroundDeleted()
				second(r)
				synctest.Wait()
				r.publish(1, "n.a")
				live.drain(t, r)
				stored := r.stored(t, 4)
				if i := slices.Index(live.seqs, stored[0]); i < 0 || !slices.Equal(live.seqs[i:], stored) || len(live.gaps) == 0 {
					t.Errorf("received %v, stored are %v", live.log, stored)
				}
			})
		})
	}
}

// stored returns the sequences from first on that the store still holds.
func (r *harness) stored(t *testing.T, first uint64) (seqs []uint64) {
	t.Helper()
	state, err := r.State(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for seq := max(first, state.FirstSeq); seq <= state.LastSeq; seq++ {
		if holes, err := r.HasDeleted(r.ctx, seq, seq); err != nil {
			t.Fatal(err)
		} else if !holes {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}

func TestReset_RecreatedAfterALossBeforeThePoll_AnnouncesTheEpoch(t *testing.T) {
	for name, recreate := range map[string]func(*feedtest.MemStore){
		"another epoch": (*feedtest.MemStore).Recreate, "the same epoch": (*feedtest.MemStore).RecreateAlike,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newHarness(t, nil, feed.Options{})
				r.publish(3, "n.a")
				live := r.subscribe(t, feed.Resume("3-e1"), "n.a")
				live.drain(t, r)
				r.publishAroundDeleted()
				recreate(r.MemStore)
				r.publish(20, "n.a")
				synctest.Wait()
				live.drain(t, r)
				n := len(live.gaps)
				if n == 0 || live.gaps[n-1].Reason != feed.NewEpoch || !slices.Equal(live.seqs[len(live.seqs)-20:], span(1, 20)) {
					t.Errorf("received %v", live.log)
				}
			})
		})
	}
}

// A stream that lost its end assigns its sequences to other events. Connected clients that have the first
// events receive a gap, live or behind, also if the stream has grown past the tail before the tail detects
// the loss.
func TestReset_SequencesReused_AnnouncedToConnectedClients(t *testing.T) {
	for name, refill := range map[string]int{"shorter": 2, "as long": 5, "longer": 9} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := feedtest.NewMemStore()
				store.ReadBatch = 2
				r := newHarness(t, store, feed.Options{WindowEvents: 2})
				r.publish(10, "n.a")
				live, quiet := r.subscribe(t, feed.Resume("10-e1"), "n.a"), r.subscribe(t, feed.Resume("10-e1"), "n.b")
				live.drain(t, r)
				quiet.drain(t, r)
				early, late := r.subscribe(t, feed.Resume("2-e1"), "n.a"), r.subscribe(t, feed.Resume("5-e1"), "n.a")
				early.step(t, r.ctx) // 3 4
				late.step(t, r.ctx)  // 6 7
				r.SetDown(errors.New("cut"))
				r.Rollback(5)
				r.publish(refill, "n.a")
				r.SetDown(nil)
				synctest.Wait()
				r.publish(1, "n.a")
				for _, c := range []*client{live, quiet, early, late} {
					c.drain(t, r)
				}
				last := uint64(6 + refill)
				for who, c := range map[string]*client{"live": live, "quiet": quiet, "late": late} {
					if len(c.gaps) == 0 {
						t.Errorf("%s: no gap: %v", who, c.log)
					}
				}
				if got := live.seqs[len(live.seqs)-1]; got != last {
					t.Errorf("live: ends at %d, want %d: %v", got, last, live.log)
				}
				// Its position is before the loss, so everything that is stored after it arrives in any case.
				if early.log[0] != "3" || !slices.Equal(early.seqs, span(3, last)) || len(early.gaps) > 0 {
					t.Errorf("early: %v, want 3 to %d", early.log, last)
				}
			})
		})
	}
}

// rewindStore passes on the events of a store that detects a loss after the stream has passed the tail.
type rewindStore struct {
	*feedtest.MemStore
	rewound chan struct{}
}

func (l *rewindStore) Follow(ctx context.Context, opts feed.FollowOptions) iter.Seq2[feed.Event, error] {
	return func(yield func(feed.Event, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		next := opts.From
		go func() {
			select {
			case <-l.rewound:
				cancel()
			case <-ctx.Done():
			}
		}()
		for ev, err := range l.MemStore.Follow(ctx, opts) {
			if errors.Is(err, context.Canceled) {
				if state, err := l.State(context.Background()); err == nil {
					yield(feed.Event{}, &feed.LossError{Reason: feed.Possible, From: next, State: state, Reused: true})
				}
				return
			}
			next = ev.Seq + 1
			if !yield(ev, err) {
				return
			}
		}
	}
}

func TestReset_ReusedWithoutAKnownStart_AnnouncedOnceToEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &rewindStore{feedtest.NewMemStore(), make(chan struct{}, 1)}
		r := newHarnessOn(t, l, l.MemStore, feed.Options{})
		r.publish(10, "n.a")
		<-r.feed.Ready()
		live := r.subscribe(t, feed.Resume("10-e1"), "n.a")
		live.drain(t, r)
		l.rewound <- struct{}{}
		synctest.Wait()
		r.publish(1, "n.a")
		live.drain(t, r)
		live.want(t, "gap:possible", "11")
		back := r.subscribe(t, feed.Resume("3-e1"), "n.a")
		back.drain(t, r)
		back.want(t, append([]string{"gap:possible"}, texts(span(4, 11))...)...)
	})
}

// The position that a heartbeat has named for a quiet client does not fall when events wait to be sent,
// when their queue overflows, or when a gap waits.
func TestPosition_EventsOrAGapWait_DoesNotFall(t *testing.T) {
	for name, next := range map[string]func(r *harness){
		"one event": func(r *harness) { r.publish(1, "n.me") },
		"overflow":  func(r *harness) { r.publish(5, "n.me") },
		"gap":       func(r *harness) { r.publishAroundDeleted() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newHarness(t, nil, feed.Options{MaxPending: 2})
				c := r.subscribe(t, feed.Start{}, "n.me")
				c.drain(t, r)
				r.publish(50, "n.others")
				synctest.Wait()
				before := c.sub.Position()
				next(r)
				synctest.Wait()
				if got := c.sub.Position(); before.Seq != 50 || got.Seq < before.Seq {
					t.Errorf("the position was %v, and is %v", before, got)
				}
			})
		})
	}
}

// A stream loses its end twice. Positions that only the first loss affected then belong to the second
// events. A client that resumes receives the reason.
func TestReset_EndLostTwiceBeforeThePoll_SendsFutureGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		r.publish(4, "n.a")
		synctest.Wait()
		r.Rollback(3)
		synctest.Wait()
		r.publish(7, "n.a") // up to 10
		live := r.subscribe(t, feed.Resume("10-e1"))
		live.drain(t, r)
		for range 2 {
			r.Rollback(6)
			synctest.Wait()
			r.publish(3, "n.a")
			synctest.Wait()
		}
		live.drain(t, r)
		live.want(t, "gap:future", "7", "8", "9")
	})
}
