package feed_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

// replayHarness has n events and replays of two events a batch.
func replayHarness(t *testing.T, n int) *harness {
	store := feedtest.NewMemStore()
	store.ReadBatch = 2
	r := newHarness(t, store, fromStore)
	r.publish(n, "n.a")
	synctest.Wait()
	return r
}

// Holes that leave at the front of the stream do not hide the same number of new ones after a replay's
// position.
func TestReplay_HoleTrimmedAtTheFrontAndAnotherMade_AnnouncesTheNewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := replayHarness(t, 40)
		r.Delete(2)
		c := r.subscribe(t, feed.Resume("10-e1"), "n.a")
		c.step(t, r.ctx) // 11 12
		r.Trim(4)
		r.Delete(30)
		c.drain(t, r)
		c.wantGapBefore(t, 30)
	})
}

// wantGapBefore checks that a gap precedes the first event after a missing sequence.
func (c *client) wantGapBefore(t *testing.T, missing uint64) {
	t.Helper()
	behind := slices.IndexFunc(c.log, func(s string) bool { return !isGap(s) && parse(s) > missing })
	gap := slices.IndexFunc(c.log, isGap)
	if slices.Contains(c.seqs, missing) || behind >= 0 && (gap < 0 || gap > behind) {
		t.Errorf("received %v, want a gap for %d before what follows it", c.log, missing)
	}
}

func isGap(s string) bool { return len(s) > 4 && s[:4] == "gap:" }

func parse(s string) (seq uint64) {
	for _, d := range s {
		seq = seq*10 + uint64(d-'0')
	}
	return seq
}

// Deletions that were announced for one incarnation do not apply to the next.
func TestReplay_DeletionInTheNextIncarnation_AnnouncedThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{WindowEvents: 4, MaxPending: 2})
		r.publish(40, "n.a")
		r.Delete(30)
		synctest.Wait()
		c := r.subscribe(t, feed.Resume("10-e1"), "n.a")
		c.drain(t, r)
		r.Recreate()
		synctest.Wait()
		c.drain(t, r)
		r.publish(2, "n.a")
		c.drain(t, r)
		c.log, c.seqs, c.gaps = nil, nil, nil
		r.publish(20, "n.a") // beyond the list and the window of a slow client
		synctest.Wait()
		r.Delete(10)
		c.drain(t, r)
		c.wantGapBefore(t, 10)
	})
}

// A range with announced deletions is announced again when there are more deletions.
func TestReplay_MoreDeletedBetweenTwoReplays_AnnouncedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &brittleReader{MemStore: feedtest.NewMemStore()}
		store.ReadBatch = 2
		r := newHarnessOn(t, store, store.MemStore, feed.Options{WindowEvents: 4}) // the window does not help
		r.publish(40, "n.a")
		r.Delete(35)
		synctest.Wait()
		c := r.subscribe(t, feed.Resume("10-e1"), "n.a") // it has received the gap of 35
		c.step(t, r.ctx)
		c.log, c.gaps = nil, nil
		store.broken = func() { r.Delete(20) } // at the next batch, which fails
		c.drain(t, r)
		c.wantGapBefore(t, 20)
	})
}

// brittleReader is a store with a replay that fails once.
type brittleReader struct {
	*feedtest.MemStore
	broken func()
}

type brittleReplay struct {
	feed.Reader
	store *brittleReader
}

func (l *brittleReader) Read(ctx context.Context, opts feed.ReadOptions) (feed.Reader, error) {
	r, err := l.MemStore.Read(ctx, opts)
	return &brittleReplay{r, l}, err
}

func (r *brittleReplay) Next(ctx context.Context) (feed.Batch, error) {
	if broken := r.store.broken; broken != nil {
		r.store.broken = nil
		broken()
		return feed.Batch{}, errors.New("broken")
	}
	return r.Reader.Next(ctx)
}

// The stream loses its end during a replay, and grows past the replay's position again.
func TestReplay_EndLostAndRegrown_ReadsTheNewEvents(t *testing.T) {
	for name, tailSees := range map[string]bool{"seen by the tail": true, "before the tail sees it": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := replayHarness(t, 100)
				c := r.subscribe(t, feed.Resume("50-e1"), "n.a")
				c.step(t, r.ctx) // 51 52
				r.Rollback(80)
				if tailSees {
					synctest.Wait()
				}
				c.readReplay(t, r)
				r.publish(40, "n.a")
				c.drain(t, r)
				if !slices.Equal(c.seqs, span(51, 120)) {
					t.Errorf("received %v, want 51 to 120", c.log)
				}
			})
		})
	}
}

// readReplay includes the end itself, and no later events.
func (c *client) readReplay(t *testing.T, r *harness) {
	t.Helper()
	for {
		d, behind, err := c.sub.Poll(1 << 20)
		c.record(d)
		if err == nil && d.Empty() && behind {
			d, err = c.sub.Fetch(r.ctx)
			c.record(d)
		}
		if err != nil {
			t.Fatal(err)
		}
		if d.Empty() {
			return
		}
	}
}

// swapStore changes the stream between the end of a batch and the request for deletions.
type swapStore struct {
	*feedtest.MemStore
	swap func()
}

func (l *swapStore) HasDeleted(ctx context.Context, from, to uint64) (bool, error) {
	if l.swap != nil {
		l.swap()
		l.swap = nil
	}
	return l.MemStore.HasDeleted(ctx, from, to)
}

// The state of another incarnation without deletions does not apply to the incarnation that was read.
func TestReplay_RecreatedBeforeDeletionsAreLookedFor_DeliversNothingUnannounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &swapStore{MemStore: feedtest.NewMemStore()}
		store.ReadBatch = 6
		r := newHarnessOn(t, store, store.MemStore, feed.Options{WindowEvents: 2})
		r.publish(20, "n.a")
		synctest.Wait()
		c := r.subscribe(t, feed.Resume("2-e1"), "n.a")
		r.Delete(5)
		store.swap = func() { r.Recreate(); r.publish(20, "n.a") }
		c.drain(t, r)
		c.want(t, append([]string{"gap:epoch"}, texts(span(1, 20))...)...)
	})
}

// Retention that passes a deleted event between the state and the request for deletions also removes
// the events before it.
func TestReplay_HoleTrimmedBeforeDeletionsAreLookedFor_Announced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &swapStore{MemStore: feedtest.NewMemStore()}
		store.ReadBatch = 6
		r := newHarnessOn(t, store, store.MemStore, feed.Options{WindowEvents: 2})
		r.publish(20, "n.a")
		synctest.Wait()
		c := r.subscribe(t, feed.Resume("2-e1"), "n.a")
		r.Delete(5)
		store.swap = func() { r.Trim(12) }
		c.drain(t, r)
		c.wantGapBefore(t, 5)
	})
}

// Retention and a deletion affect one batch. The gap then names no position after which all events are
// stored.
func TestReplay_TrimmedAndDeletedInOneBatch_IsPossible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := replayHarness(t, 20)
		c := r.subscribe(t, feed.Resume("2-e1"), "n.a")
		c.step(t, r.ctx) // 3 4
		r.Trim(8)
		r.Delete(12)
		c.drain(t, r)
		want := append([]string{"3", "4", "gap:possible"}, texts(span(8, 11))...)
		c.want(t, append(want, texts(span(13, 20))...)...)
	})
}

// If the replay after a gap cannot be opened, the gap is still sent.
func TestReplay_OpenFailsBehindAGap_KeepsTheGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &refusingStore{MemStore: feedtest.NewMemStore()}
		r := newHarnessOn(t, store, store.MemStore, feed.Options{WindowEvents: 2, MaxPending: 1})
		r.publish(3, "n.a")
		c := r.subscribe(t, feed.Resume("3-e1"), "n.a")
		c.drain(t, r)
		r.publish(20, "n.a") // 4 to 23
		synctest.Wait()
		r.Trim(10)
		store.refuse = 2
		c.drain(t, r)
		c.want(t, append([]string{"gap:trimmed"}, texts(span(10, 23))...)...)
	})
}

// refusingStore rejects a number of replays.
type refusingStore struct {
	*feedtest.MemStore
	refuse int
}

func (l *refusingStore) Read(ctx context.Context, opts feed.ReadOptions) (feed.Reader, error) {
	if l.refuse > 0 {
		l.refuse--
		return nil, io.ErrNoProgress
	}
	return l.MemStore.Read(ctx, opts)
}

// The newest events are deleted before the tail reads them. The feed is ready and caught up without
// another publish, and its clients receive a gap.
func TestTail_NewestEventsDeletedBeforeTheyAreRead_CatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStoreDown() // with one event
		store.Publish("n.a", "", nil)
		store.Publish("n.a", "", nil)
		r := newHarness(t, store, feed.Options{})
		store.SetDown(nil)
		<-r.feed.Ready()
		c := r.subscribe(t, feed.Resume("3-e1"), "n.a")
		c.drain(t, r)
		r.SetDown(errors.New("cut"))
		r.publish(2, "n.a") // 4 5
		r.Delete(4)
		r.Delete(5)
		r.SetDown(nil)
		c.drain(t, r)
		c.want(t, "gap:possible")
		if s := r.feed.Status(); s.High != 5 || s.Lost != nil {
			t.Errorf("status %+v", s)
		}
		r.publish(1, "n.a")
		c.drain(t, r)
		c.want(t, "gap:possible", "6")
	})
}

// stepStore deletes its newest event after the feed has requested the end of the stream.
type stepStore struct {
	*feedtest.MemStore
	once bool
}

func (l *stepStore) State(ctx context.Context) (feed.State, error) {
	state, err := l.MemStore.State(ctx)
	if !l.once {
		l.once = true
		l.Delete(state.LastSeq)
	}
	return state, err
}

func TestTail_NewestEventDeletedDuringPreload_IsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &stepStore{MemStore: feedtest.NewMemStore()}
		for range 5 {
			store.Publish("n.a", "", nil)
		}
		r := newHarnessOn(t, store, store.MemStore, feed.Options{})
		synctest.Wait()
		select {
		case <-r.feed.Ready():
		default:
			t.Errorf("the feed is not ready: %+v", r.feed.Status())
		}
	})
}

// The first batch of the latest events cannot be read. Another replay reads them.
func TestSubscribe_FirstBatchOfLastFails_DeliversTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &brittleReader{MemStore: feedtest.NewMemStore()}
		r := newHarnessOn(t, l, l.MemStore, feed.Options{})
		r.publish(3, "n.a")
		r.publish(2, "n.b")
		synctest.Wait()
		l.broken = func() {}
		start, _ := feed.ParseFrom("last", time.Now())
		c := r.subscribe(t, start)
		c.drain(t, r)
		c.want(t, "3", "5")
		if o := c.sub.StartInfo(); o.Position.Seq != 2 || o.Pending != 2 {
			t.Errorf("opened with %+v", o)
		}
	})
}

// A client begins with the latest events and reads none for some time. It does not receive events that were
// deleted in that time.
func TestSubscribe_LastDeletedBeforeItIsTaken_IsNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		r.publish(3, "n.a")
		r.publish(2, "n.b")
		synctest.Wait()
		start, _ := feed.ParseFrom("last", time.Now())
		c := r.subscribe(t, start)
		r.Delete(3)
		time.Sleep(2 * time.Second)
		c.drain(t, r)
		c.want(t, "5") // events before the opening are not delivered after it
	})
}

// A stream that loses its end has fewer deletions. The same number of new deletions elsewhere leaves
// their number unchanged.
func TestReplay_DeletionTakenBackWithTheEnd_AnnouncesTheNewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := hookHarnessUnarmed(t)
		r.Delete(10)
		c := r.subscribe(t, feed.Resume("0-e1"), "n.a")
		c.step(t, r.ctx) // 1 2 3
		c.step(t, r.ctx) // 4 5 6
		r.Rollback(9)
		r.Delete(8)
		c.drain(t, r)
		announced := false
		for _, entry := range c.log {
			announced = announced || entry == "gap:possible"
			if entry == "9" && !announced {
				t.Errorf("8 was passed over without a gap: %v", c.log)
			}
			if entry == "6" {
				announced = false // gaps that were announced before do not cover it
			}
		}
	})
}
