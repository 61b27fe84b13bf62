package feed_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

const kib = 1 << 10

func from(text string) feed.Start {
	start, err := feed.ParseFrom(text, time.Now())
	if err != nil {
		panic(err)
	}
	return start
}

// requestStore is a store that records the requests of its readers.
type requestStore struct {
	*feedtest.MemStore
	requests []int
}

func (l *requestStore) Read(ctx context.Context, opts feed.ReadOptions) (feed.Reader, error) {
	r, err := l.MemStore.Read(ctx, opts)
	return &requestReader{r, l}, err
}

type requestReader struct {
	feed.Reader
	store *requestStore
}

func (r *requestReader) Request(bytes int) bool {
	r.store.requests = append(r.store.requests, bytes)
	return r.Reader.Request(bytes)
}

// stored is a stream of n events of size bytes.
func stored(n, size int) *requestStore {
	l := &requestStore{MemStore: feedtest.NewMemStore()}
	l.ReadBatch = 1 << 20
	for range n {
		l.Publish("n.a", "", []byte(strings.Repeat("x", size)))
	}
	return l
}

// behindFeed starts a feed with a budget. Its replays read l.
func behindFeed(t *testing.T, l *requestStore, budget *feed.ReplayBudget) *harness {
	t.Helper()
	r := newHarnessOn(t, l, l.MemStore, feed.Options{NoPreload: true, WindowEvents: 1, Replays: budget})
	<-r.feed.Ready()
	return r
}

func TestReplay_ClientDrains_BatchesGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, budget := stored(100, 60*kib), feed.NewReplayBudget(0)
		r := behindFeed(t, l, budget)
		c := r.subscribe(t, from("all"))
		for range 3 {
			c.step(t, r.ctx)
		}
		if want := []int{128 * kib, 128 * kib, 128 * kib}; !slices.Equal(l.requests, want) {
			t.Errorf("requested %v before the client has taken three batches, want %v", l.requests, want)
		}
		c.step(t, r.ctx)
		if want := []int{128 * kib, 128 * kib, 128 * kib, 256 * kib, 512 * kib}; !slices.Equal(l.requests, want) {
			t.Errorf("requested %v, want %v: the last ahead", l.requests, want)
		}
		c.drain(t, r)
		c.want(t, texts(span(1, 100))...)
		if largest := slices.Max(l.requests); largest != 1024*kib {
			t.Errorf("the largest request is for %d bytes: %v", largest, l.requests)
		}
		if s := budget.Status(); s.Used != 0 {
			t.Errorf("the budget at the end: %+v", s)
		}
	})
}

// Of two feeds that share a budget, one replays only after the other has sent its events, or is
// suspended.
func TestReplay_BudgetIsUsed_Waits(t *testing.T) {
	for _, how := range []string{"sent", "suspended", "closed"} {
		synctest.Test(t, func(t *testing.T) {
			budget := feed.NewReplayBudget(160 * kib)
			one, two := behindFeed(t, stored(10, 60*kib), budget), behindFeed(t, stored(10, 60*kib), budget)
			first := one.subscribe(t, from("all"))
			held, err := first.sub.Next(one.ctx)
			if err != nil {
				t.Fatal(err)
			}
			second := two.subscribe(t, from("all"))
			read := make(chan error, 1)
			go func() {
				err := second.until(two.ctx, 10)
				_, _, sent := second.sub.Poll(1) // the last were sent: the first waits for their bytes
				read <- errors.Join(err, sent)
			}()
			synctest.Wait()
			if s := budget.Status(); s.Waiting != 1 || s.Used > s.Limit || len(second.seqs) > 0 {
				t.Fatalf("%+v, and %d events were read", s, len(second.seqs))
			}
			switch how {
			case "sent":
				first.record(held)
				first.drain(t, one)
				first.want(t, texts(span(1, 10))...)
			case "suspended":
				if !first.sub.Suspend(held.Frames) {
					t.Error("a replay was not suspended")
				}
			case "closed":
				first.sub.Close()
			}
			if err := <-read; err != nil {
				t.Error(err)
			}
			second.want(t, texts(span(1, 10))...)
			if how == "suspended" {
				first.drain(t, one)
				first.want(t, texts(span(1, 10))...)
			}
			if s := budget.Status(); s.Used != 0 {
				t.Errorf("%s: the budget at the end: %+v", how, s)
			}
		})
	}
}

// TestSuspend_AtAnyEvent_NothingIsLostOrRepeated suspends a replay once, before and after each of its
// events.
func TestSuspend_AtAnyEvent_NothingIsLostOrRepeated(t *testing.T) {
	const total = 12
	for keep := range total + 1 {
		synctest.Test(t, func(t *testing.T) {
			l, budget := stored(total, 60*kib), feed.NewReplayBudget(0)
			l.ReadBatch = 5
			r := behindFeed(t, l, budget)
			c := r.subscribe(t, from("all"))
			for len(c.seqs) < keep {
				d, err := c.sub.Next(r.ctx)
				if err != nil {
					t.Fatal(err)
				}
				sent := min(len(d.Frames), keep-len(c.seqs))
				c.record(feed.Delivery{Frames: d.Frames[:sent]})
				if len(c.seqs) < keep {
					continue
				}
				if unsent := d.Frames[sent:]; c.sub.Suspend(unsent) {
					if s := budget.Status(); s.Used != 0 || s.Suspended != 1 || l.OpenReaders() != 0 {
						t.Errorf("suspended after %d events: %+v, %d readers", keep, s, l.OpenReaders())
					}
				} else {
					t.Errorf("not suspended after %d events", keep)
				}
			}
			c.drain(t, r)
			c.want(t, texts(span(1, total))...)
		})
	}
}

func TestSuspend_LastOfEachSubject_ContinuesWithThese(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &requestStore{MemStore: feedtest.NewMemStore()}
		for range 3 {
			for _, subject := range []string{"n.a", "n.b", "n.c", "n.d", "n.e"} {
				l.Publish(subject, "", []byte("x"))
			}
		}
		r := newHarnessOn(t, l, l.MemStore, feed.Options{})
		<-r.feed.Ready()
		c := r.subscribe(t, from("last"))
		d, err := c.sub.Next(r.ctx)
		if err != nil || len(d.Frames) != 3 {
			t.Fatalf("%d frames: %v", len(d.Frames), err)
		}
		c.record(feed.Delivery{Frames: d.Frames[:1]})
		if !c.sub.Suspend(d.Frames[1:]) {
			t.Error("not suspended")
		}
		r.publish(1, "n.b")
		c.drain(t, r)
		// 12 was the latest of n.b when the client connected; a second replay may have 16 instead.
		if got := strings.Join(c.log, " "); got != "11 12 13 14 15 16" && got != "11 13 14 15 16" {
			t.Errorf("received %s", got)
		}
	})
}

// Events that are trimmed or replaced while a replay is suspended are a gap from the client's real
// position.
func TestSuspend_StreamChanges_GapIsAnnounced(t *testing.T) {
	for want, change := range map[string]func(*requestStore){
		"1 2 gap:trimmed 9 10 11": func(l *requestStore) { l.Trim(9); l.Publish("n.a", "", nil) },
		"1 2 gap:epoch 1":         func(l *requestStore) { l.Recreate(); l.Publish("n.a", "", nil) },
	} {
		synctest.Test(t, func(t *testing.T) {
			l := stored(10, kib)
			r := behindFeed(t, l, nil)
			c := r.subscribe(t, from("all"))
			d, err := c.sub.Next(r.ctx)
			if err != nil || len(d.Frames) != 10 {
				t.Fatalf("%d frames: %v", len(d.Frames), err)
			}
			c.record(feed.Delivery{Frames: d.Frames[:2]})
			c.sub.Suspend(d.Frames[2:])
			change(l)
			synctest.Wait()
			c.drain(t, r)
			c.want(t, strings.Fields(want)...)
			if g := c.gaps[0]; g.Requested != "2-e1" {
				t.Errorf("the gap begins at %s: %+v", g.Requested, g)
			}
		})
	}
}

func TestSuspend_Live_KeepsPendingFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		<-r.feed.Ready()
		c := r.subscribe(t, feed.Start{})
		c.drain(t, r)
		r.publish(3, "n.a")
		synctest.Wait()
		if c.sub.Suspend(nil) {
			t.Error("a live subscription was suspended")
		}
		c.drain(t, r)
		c.want(t, texts(span(1, 3))...)
	})
}

func TestReplay_LargeEvents_CountTheirTrueSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, budget := stored(5, 300*kib), feed.NewReplayBudget(0)
		r := behindFeed(t, l, budget)
		c := r.subscribe(t, from("all"))
		d, err := c.sub.Next(r.ctx)
		if err != nil || len(d.Frames) != 1 {
			t.Fatalf("%d frames: %v", len(d.Frames), err)
		}
		if s := budget.Status(); s.Used < 300*kib || s.Used > 301*kib {
			t.Errorf("an event of 300 KiB is held: %+v", s)
		}
		c.record(d)
		c.drain(t, r)
		c.want(t, texts(span(1, 5))...)
		if s := budget.Status(); s.Used != 0 {
			t.Errorf("the budget at the end: %+v", s)
		}
	})
}

// The budget is sufficient for a few clients only, and events of all sizes are published at the same time.
// Each client receives each event once and in order.
func TestReplay_ManyClientsSuspendedAtRandom_ReceiveEachEventOnce(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			const clients, before, after = 12, 60, 20
			sizes := rand.New(rand.NewPCG(seed, 0))
			budget := feed.NewReplayBudget(512 * kib)
			l := &requestStore{MemStore: feedtest.NewMemStore()}
			l.ReadBatch = 8
			publish := func() {
				size := sizes.IntN(2000)
				if sizes.IntN(8) == 0 {
					size = sizes.IntN(600 * kib)
				}
				l.Publish("n.a", "", make([]byte, size))
			}
			for range before {
				publish()
			}
			r := newHarnessOn(t, l.MemStore, l.MemStore, feed.Options{NoPreload: true, WindowEvents: 5, MaxPending: 4, Replays: budget})
			<-r.feed.Ready()
			var reading sync.WaitGroup
			for i := range clients {
				c := r.subscribe(t, from("all"))
				reading.Go(func() { readAndSuspend(t, r, c, rand.New(rand.NewPCG(seed, uint64(i+1))), before+after) })
			}
			for range after {
				time.Sleep(time.Duration(sizes.IntN(30)) * time.Millisecond)
				publish()
			}
			reading.Wait()
			if s := budget.Status(); s.Used != 0 || s.Waiting != 0 {
				t.Errorf("seed %d: the budget at the end: %+v", seed, s)
			}
		})
	}
}

// readAndSuspend reads up to the sequence last, and sometimes stalls in the middle of a delivery.
func readAndSuspend(t *testing.T, r *harness, c *client, rnd *rand.Rand, last uint64) {
	for len(c.seqs) == 0 || c.seqs[len(c.seqs)-1] < last {
		d, err := c.sub.Next(r.ctx)
		if err != nil {
			t.Errorf("after %d events: %v", len(c.seqs), err)
			return
		}
		sent := len(d.Frames)
		if rnd.IntN(4) == 0 {
			sent = rnd.IntN(sent + 1)
			time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
			if !c.sub.Suspend(d.Frames[sent:]) {
				sent = len(d.Frames)
			}
		}
		d.Frames = d.Frames[:sent]
		c.record(d)
	}
	c.drain(t, r)
	c.want(t, texts(span(1, last))...)
}

// A replay that waits for a stream out of reach leaves the budget to replays of other streams, and
// continues when the stream can be reached again.
func TestReplay_StreamOutOfReach_OthersKeepTheirBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := feed.NewReplayBudget(160 * kib)
		lost, well := behindFeed(t, stored(10, 60*kib), budget), behindFeed(t, stored(10, 60*kib), budget)
		waiting, reading := lost.subscribe(t, from("all")), well.subscribe(t, from("all"))
		waiting.step(t, lost.ctx)
		lost.SetDown(errors.New("no leader"))
		synctest.Wait()
		read := make(chan error, 1)
		go func() { read <- waiting.until(lost.ctx, 10) }()
		synctest.Wait()
		reading.drain(t, well)
		reading.want(t, texts(span(1, 10))...)
		lost.SetDown(nil)
		if err := <-read; err != nil {
			t.Error(err)
		}
		waiting.want(t, texts(span(1, 10))...)
	})
}
