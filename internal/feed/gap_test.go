package feed_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

func TestResume_EachPosition_SendsItsGap(t *testing.T) {
	eachWay(t, func(t *testing.T, opts feed.Options) {
		r := newHarness(t, nil, opts)
		r.publish(10, "n.a")
		r.Trim(6)
		synctest.Wait()
		for _, c := range []struct {
			id      string
			want    []string // before event 11
			first   uint64
			goesOn  uint64
			resumed bool
			openID  string
		}{
			{"5-e1", texts(span(6, 10)), 0, 0, true, "5-e1"},
			{"5", texts(span(6, 10)), 0, 0, true, "5-e1"},
			{"10-e1", nil, 0, 0, true, "10-e1"},
			{"11-e1", []string{"gap:future"}, 6, 10, false, "11-e1"},
			{"18446744073709551615", []string{"gap:future"}, 6, 10, false, "18446744073709551615-e1"},
			{"3-e9", append([]string{"gap:epoch"}, texts(span(6, 10))...), 6, 5, false, "3-e9"},
			{"rubbish", []string{"gap:malformed"}, 0, 10, false, ""},
		} {
			client := r.subscribe(t, feed.Resume(c.id), "n.a")
			open := client.sub.StartInfo()
			if open.Resumed != c.resumed || open.ID != c.openID {
				t.Errorf("%s: opening %+v", c.id, open)
			}
			client.drain(t, r)
			client.want(t, c.want...)
			if len(client.gaps) == 1 {
				g := client.gaps[0]
				if c.first != 0 && g.FirstAvailable.Seq != c.first || g.Continues.Seq != c.goesOn || open.Position.Seq != c.goesOn {
					t.Errorf("%s: gap %+v, opening at %v", c.id, g, open.Position)
				}
			}
		}
	})
}

// The window may still have events that the stream no longer has. Without them the gap is sent.
func TestResume_TrimmedPosition_SendsTrimmedGap(t *testing.T) {
	for _, opts := range []feed.Options{fromStore, {WindowEvents: 2}, {NoPreload: true}} {
		synctest.Test(t, func(t *testing.T) {
			r := newHarness(t, nil, opts)
			<-r.feed.Ready()
			r.publish(10, "n.a")
			synctest.Wait() // the tail has read all of them
			r.Trim(6)
			c := r.subscribe(t, feed.Resume("2-e1"), "n.a")
			c.drain(t, r)
			if opts.NoPreload {
				c.want(t, texts(span(3, 10))...) // the tail read them before they were trimmed
				return
			}
			c.want(t, append([]string{"gap:trimmed"}, texts(span(6, 10))...)...)
			if g := c.gaps[0]; g.Requested != "2-e1" || g.FirstAvailable.String() != "6-e1" || g.Continues.String() != "5-e1" {
				t.Errorf("gap %+v", g)
			}
		})
	}
}

func TestResume_EverythingTrimmed_SendsTrimmedGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, fromStore)
		r.publish(10, "n.a")
		r.Trim(11)
		level, behind := r.subscribe(t, feed.Resume("10-e1")), r.subscribe(t, feed.Resume("9-e1"))
		r.publish(1, "n.a")
		level.drain(t, r)
		behind.drain(t, r)
		level.want(t, "11")
		behind.want(t, "gap:trimmed", "11")
	})
}

func TestResume_DeletedInBetween_SendsPossibleGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, fromStore)
		r.publish(10, "n.a")
		r.Delete(5)
		before, after := r.subscribe(t, feed.Resume("2-e1"), "n.a"), r.subscribe(t, feed.Resume("5-e1"), "n.a")
		before.drain(t, r)
		after.drain(t, r)
		before.want(t, "gap:possible", "3", "4", "6", "7", "8", "9", "10")
		after.want(t, texts(span(6, 10))...)
		if open := before.sub.StartInfo(); !open.Resumed {
			t.Errorf("a possible gap still resumes: %+v", open)
		}
	})
}

// TestTail_DeletedBeforeItIsRead_SendsPossibleGap deletes an event before the tail can read it.
func TestTail_DeletedBeforeItIsRead_SendsPossibleGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		r.publish(3, "n.a")
		live := r.subscribe(t, feed.Resume("2-e1"), "n.a")
		live.drain(t, r)
		r.SetDown(errors.New("cut"))
		r.publish(3, "n.a") // 4 5 6
		r.Delete(5)
		r.SetDown(nil)
		synctest.Wait()
		r.publish(1, "n.a")
		live.drain(t, r)
		live.want(t, "3", "4", "gap:possible", "6", "7")
		back := r.subscribe(t, feed.Resume("3-e1"), "n.a")
		back.drain(t, r)
		back.want(t, "gap:possible", "4", "6", "7")
	})
}

func TestReplay_RetentionOvertakesIt_SendsTrimmedGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, fromStore)
		r.publish(20, "n.a")
		c := r.subscribe(t, feed.Resume("0-e1"), "n.a")
		c.step(t, r.ctx) // 1 2 3
		r.Trim(11)
		c.step(t, r.ctx)
		c.drain(t, r)
		want := append([]string{"1", "2", "3", "gap:trimmed"}, texts(span(11, 20))...)
		c.want(t, want...)
		r.publish(1, "n.a")
		c.drain(t, r)
		c.want(t, append(want, "21")...)
	})
}

func TestReplay_RestTrimmed_SendsTrimmedGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, fromStore)
		r.publish(20, "n.a")
		c := r.subscribe(t, feed.Resume("0-e1"), "n.a")
		c.step(t, r.ctx)
		r.Trim(21)
		r.publish(2, "n.a")
		c.drain(t, r)
		c.want(t, "1", "2", "3", "gap:trimmed", "21", "22")
	})
}

func TestReplay_DeletedDuringIt_SendsPossibleGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, fromStore)
		r.publish(9, "n.a")
		c := r.subscribe(t, feed.Resume("0-e1"), "n.a")
		c.step(t, r.ctx)
		r.Delete(5)
		c.drain(t, r)
		c.want(t, "1", "2", "3", "gap:possible", "4", "6", "7", "8", "9")
	})
}

// A slow client must not receive events that were removed long ago, with their stream or with its end.
func TestRemovedStream_SlowClient_GetsNoRemovedEvents(t *testing.T) {
	for name, remove := range map[string]func(*harness) (want []string){
		"recreated": func(r *harness) []string {
			r.Recreate()
			r.publish(1, "n.a")
			return []string{"gap:epoch", "1", "2"}
		},
		"rolled back": func(r *harness) []string {
			r.Rollback(8)
			r.publish(1, "n.a")
			return []string{"gap:future", "10"} // 9 came before the tail noticed
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newHarness(t, nil, feed.Options{})
				r.publish(10, "n.a")
				slow := r.subscribe(t, feed.Resume("10-e1"), "n.a")
				slow.drain(t, r)
				r.publish(2, "n.a") // wait for it
				synctest.Wait()
				want := remove(r)
				time.Sleep(4 * time.Second) // the tail notices
				r.publish(1, "n.a")
				slow.drain(t, r)
				slow.want(t, want...)
				if got := slow.gaps[0].Requested; got != "10-e1" {
					t.Errorf("the gap names %s", got)
				}
			})
		})
	}
}

// TestFeed_StreamRecreated_SendsEpochGap replaces the stream of clients that are live, pending and
// replaying.
func TestFeed_StreamRecreated_SendsEpochGap(t *testing.T) {
	eachWay(t, func(t *testing.T, opts feed.Options) {
		r := newHarness(t, nil, opts)
		r.publish(10, "n.a")
		live := r.subscribe(t, feed.Resume("10-e1"), "n.a")
		live.drain(t, r)
		pending := r.subscribe(t, feed.Resume("10-e1"), "n.a")
		pending.drain(t, r)
		r.publish(1, "n.a") // 11
		live.drain(t, r)
		replaying := r.subscribe(t, feed.Resume("0-e1"), "n.a")
		r.Recreate()
		r.publish(3, "n.a")
		synctest.Wait()
		fresh := append([]string{"gap:epoch"}, texts(span(1, 3))...)
		for _, c := range []*client{pending, live, replaying} { // pending first: draining takes a second
			c.drain(t, r)
		}
		live.want(t, append([]string{"11"}, fresh...)...)
		pending.want(t, append([]string{"11"}, fresh...)...)
		if n := len(replaying.gaps); n != 1 || replaying.gaps[0].Reason != feed.NewEpoch {
			t.Errorf("the replaying client got %v", replaying.log)
		}
		back := r.subscribe(t, feed.Resume("11-e1"), "n.a")
		back.drain(t, r)
		back.want(t, fresh...)
		if g := live.gaps[0]; g.Requested != "11-e1" || g.Continues.String() != "0-e2" {
			t.Errorf("gap %+v", g)
		}
	})
}

func TestFeed_StreamRolledBack_SendsGap(t *testing.T) {
	eachWay(t, func(t *testing.T, opts feed.Options) {
		r := newHarness(t, nil, opts)
		r.publish(10, "n.a")
		live, early := r.subscribe(t, feed.Resume("10-e1")), r.subscribe(t, feed.Resume("3-e1"))
		live.drain(t, r)
		r.Rollback(6)
		synctest.Wait()
		live.drain(t, r)
		r.publish(2, "n.a") // another 7 and 8
		live.drain(t, r)
		live.want(t, "gap:future", "7", "8")
		early.drain(t, r)
		if len(early.gaps) > 1 || early.seqs[len(early.seqs)-1] != 8 {
			t.Errorf("the client that was behind got %v", early.log)
		}
	})
}

// TestFeed_StoreOutOfReach_ClientsWaitAndContinue puts the store out of reach. Clients wait, then continue.
// They receive a gap only if retention removed events during the outage.
func TestFeed_StoreOutOfReach_ClientsWaitAndContinue(t *testing.T) {
	eachWay(t, func(t *testing.T, opts feed.Options) {
		r := newHarness(t, nil, opts)
		r.publish(10, "n.a")
		live, behind := r.subscribe(t, feed.Resume("10-e1")), r.subscribe(t, feed.Resume("5-e1"))
		live.drain(t, r)
		r.SetDown(errors.New("cut"))
		synctest.Wait()
		if r.feed.Status().Lost == nil {
			t.Error("the status shows no loss of contact")
		}
		live.drain(t, r)
		live.want(t)
		r.publish(2, "n.a")
		r.SetDown(nil)
		live.drain(t, r)
		behind.drain(t, r)
		live.want(t, "11", "12")
		behind.want(t, texts(span(6, 12))...)
		if err := r.feed.Status().Lost; err != nil {
			t.Errorf("after the outage: %v", err)
		}
		r.SetDown(errors.New("cut"))
		r.publish(5, "n.a") // 13 to 17
		r.Trim(16)
		r.SetDown(nil)
		live.drain(t, r)
		live.want(t, "11", "12", "gap:trimmed", "16", "17")
	})
}

// TestSubscription_SlowClient_RejoinsWithoutDelayingOthers overflows a client's queue and lets it rejoin.
// The others receive everything at once, and the queue of the slow client stays bounded.
func TestSubscription_SlowClient_RejoinsWithoutDelayingOthers(t *testing.T) {
	for _, window := range []int{1000, 5} {
		synctest.Test(t, func(t *testing.T) {
			r := newHarness(t, nil, feed.Options{WindowEvents: window, MaxPending: 3})
			slow, quick := r.subscribe(t, feed.Start{}), r.subscribe(t, feed.Start{})
			ctx, done := r.ctx, make(chan error)
			go func() { done <- quick.until(ctx, 100) }()
			r.publish(1, "n.a")
			slow.step(t, ctx)
			for range 99 {
				r.publish(1, "n.a")
				synctest.Wait()
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			quick.want(t, texts(span(1, 100))...)
			if slow.sub.State() != feed.CatchingUp {
				t.Errorf("the slow client is %s", slow.sub.State())
			}
			slow.drain(t, r)
			slow.want(t, texts(span(1, 100))...)
			if slow.sub.State() != feed.Live {
				t.Errorf("the slow client did not rejoin: %s", slow.sub.State())
			}
		})
	}
}

func TestSubscribe_StoreDown_Waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		_ = r
		store := newStoreDown()
		late := newHarness(t, store, feed.Options{})
		time.AfterFunc(time.Minute, func() { store.SetDown(nil) })
		select {
		case <-late.feed.Ready():
			t.Error("ready without a store")
		default:
		}
		start := time.Now()
		<-late.feed.Ready()
		if waited := time.Since(start); waited != time.Minute {
			t.Errorf("ready after %v", waited)
		}
		c := late.subscribe(t, feed.Resume("0"))
		c.drain(t, late)
		c.want(t, "1")
	})
}

// brittleStore fails like a store whose leader is lost between two requests.
type brittleStore struct {
	*feedtest.MemStore
	failures atomic.Int32
}

func (l *brittleStore) HasDeleted(ctx context.Context, from, to uint64) (bool, error) {
	if l.failures.Add(-1) >= 0 {
		return false, errors.New("no leader")
	}
	return l.MemStore.HasDeleted(ctx, from, to)
}

// A store that fails during a replay ends no subscription.
func TestReplay_StoreFails_SubscriptionContinues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &brittleStore{MemStore: feedtest.NewMemStore()}
		r := newHarnessOn(t, store, store.MemStore, feed.Options{WindowEvents: 2})
		r.publish(9, "n.a")
		synctest.Wait() // otherwise the events may already wait for the client
		c := r.subscribe(t, feed.Resume("0-e1"), "n.a")
		c.step(t, r.ctx)
		r.Delete(5)
		store.failures.Store(2)
		c.drain(t, r)
		c.want(t, "1", "2", "3", "gap:possible", "4", "6", "7", "8", "9")
	})
}

func TestSubscribe_FeedStopped_ReturnsErrClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := feed.New(feedtest.NewMemStore(), feed.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = f.Run(ctx) }()
		<-f.Ready()
		cancel()
		synctest.Wait()
		if _, err := f.Subscribe(t.Context(), feed.SubscribeOptions{}); !errors.Is(err, feed.ErrClosed) {
			t.Errorf("error %v", err)
		}
	})
}

func TestSubscription_Closed_ReturnsErrClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		c := r.subscribe(t, feed.Start{})
		c.sub.Close()
		if _, err := c.sub.Next(r.ctx); !errors.Is(err, feed.ErrClosed) {
			t.Errorf("Next after Close: %v", err)
		}
		if n := r.feed.Status().Subscriptions; n != 0 {
			t.Errorf("%d subscriptions after Close", n)
		}
		if _, err := r.feed.Subscribe(r.ctx, feed.SubscribeOptions{Filters: []string{"a..b"}}); err == nil {
			t.Error("a bad filter is taken")
		}
	})
}
