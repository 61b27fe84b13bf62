package feed_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

// ways are options for three ways to resume: from the window, from the store, and from both in turn.
var ways = map[string]feed.Options{
	"window":      {},
	"tiny window": {WindowEvents: 4},
	"log":         fromStore,
	"no preload":  {NoPreload: true},
	"tiny list":   {WindowEvents: 8, MaxPending: 2},
}

func eachWay(t *testing.T, test func(*testing.T, feed.Options)) {
	for name, opts := range ways {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, opts) })
		})
	}
}

func TestResume_AtEveryPosition_DeliversTheRest(t *testing.T) {
	eachWay(t, func(t *testing.T, opts feed.Options) {
		const before, after = 12, 6
		r := newHarness(t, nil, opts)
		r.publish(before, "n.a")
		var clients []*client
		for seq := range uint64(before + 1) {
			clients = append(clients, r.subscribe(t, feed.Resume(fmt.Sprintf("%d-e1", seq)), "n.a"))
		}
		r.publish(after, "n.a")
		for seq, c := range clients {
			c.drain(t, r)
			c.want(t, texts(span(uint64(seq)+1, before+after))...)
			if open := c.sub.StartInfo(); !open.Resumed || open.Position.Seq != uint64(seq) || open.ID != fmt.Sprintf("%d-e1", seq) {
				t.Errorf("from %d: opening %+v", seq, open)
			}
			if c.sub.State() != feed.Live {
				t.Errorf("from %d: %s at the end", seq, c.sub.State())
			}
		}
	})
}

func TestSubscribe_Resume_CountsPendingEvents(t *testing.T) {
	eachWay(t, func(t *testing.T, opts feed.Options) {
		r := newHarness(t, nil, opts)
		for range 5 {
			r.publish(1, "n.a")
			r.publish(1, "n.b")
		}
		synctest.Wait()
		if got := r.subscribe(t, feed.Resume("4"), "n.a").sub.StartInfo().Pending; got != 3 {
			t.Errorf("pending after 4: %d, want 3", got)
		}
		if got := r.subscribe(t, feed.Resume("10"), "n.a").sub.StartInfo().Pending; got != 0 {
			t.Errorf("pending at the end: %d", got)
		}
	})
}

func TestSubscribe_Filters_DeliverMatchingEvents(t *testing.T) {
	eachWay(t, func(t *testing.T, opts feed.Options) {
		r := newHarness(t, nil, opts)
		publish := func() {
			r.publish(1, "n.user.1") // 1 5
			r.publish(1, "n.user.2") // 2 6
			r.publish(1, "n.city.x") // 3 7
			r.publish(1, "n.all")    // 4 8
		}
		publish()
		one := r.subscribe(t, feed.Resume("0"), "n.user.1", "n.all")
		wild := r.subscribe(t, feed.Resume("0"), "n.user.*", "n.user.2", "n.*.x")
		every := r.subscribe(t, feed.Resume("0"))
		overlap := r.subscribe(t, feed.Resume("0"), "n.*.x", "n.city.*")
		publish()
		for _, c := range []*client{one, wild, every, overlap} {
			c.drain(t, r)
		}
		one.want(t, "1", "4", "5", "8")
		wild.want(t, "1", "2", "3", "5", "6", "7")
		every.want(t, texts(span(1, 8))...)
		overlap.want(t, "3", "7")
	})
}

func TestSubscribe_EachStart_BeginsWhereDocumented(t *testing.T) {
	eachWay(t, func(t *testing.T, opts feed.Options) {
		store := feedtest.NewMemStore()
		store.Publish("n.a", "", nil) // 1
		store.Publish("n.b", "", nil) // 2
		store.Publish("n.a", "", nil) // 3
		time.Sleep(time.Hour)
		store.Publish("n.c", "", nil) // 4
		store.Publish("n.b", "", nil) // 5
		time.Sleep(time.Minute)
		store.Trim(2)
		r := newHarness(t, store, opts)
		for from, want := range map[string][]string{
			"new": {"6"}, "": {"6"},
			"all":  {"2", "3", "4", "5", "6"},
			"last": {"3", "4", "5", "6"},
			"4":    {"4", "5", "6"}, "3": {"3", "4", "5", "6"},
			"10m": {"4", "5", "6"}, "0s": {"6"}, "1d": {"2", "3", "4", "5", "6"},
			time.Now().Add(-2 * time.Minute).Format(time.RFC3339): {"4", "5", "6"},
		} {
			start, err := feed.ParseFrom(from, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			c := r.subscribe(t, start)
			defer func() {
				c.drain(t, r)
				c.want(t, want...)
			}()
			if c.sub.StartInfo().Resumed {
				t.Errorf("from=%s claims to resume", from)
			}
		}
		synctest.Wait()
		store.Publish("n.d", "", nil) // 6
	})
}

func TestResume_AtTheIDOfTheOpening_DeliversAll(t *testing.T) {
	eachWay(t, func(t *testing.T, opts feed.Options) {
		r := newHarness(t, nil, opts)
		r.publish(3, "n.a")
		r.publish(3, "n.b")
		synctest.Wait()
		for _, from := range []string{"new", "all", "last", "2"} {
			start, _ := feed.ParseFrom(from, time.Now())
			whole, cut := r.subscribe(t, start), r.subscribe(t, start)
			cut.sub.Close()
			back := r.subscribe(t, feed.Resume(cut.sub.StartInfo().ID))
			whole.drain(t, r)
			back.drain(t, r)
			if len(back.gaps) > 0 || !isSubsequence(whole.seqs, back.seqs) {
				t.Errorf("from=%s: %v without the cut, %v with it", from, whole.log, back.log)
			}
		}
	})
}

func isSubsequence(part, of []uint64) bool {
	for _, x := range of {
		if len(part) > 0 && part[0] == x {
			part = part[1:]
		}
	}
	return len(part) == 0
}

func TestPosition_QuietClient_FollowsTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		c := r.subscribe(t, feed.Start{}, "n.me")
		c.drain(t, r)
		r.publish(50, "n.others")
		synctest.Wait()
		if got := c.sub.Position(); got.Seq != 50 {
			t.Errorf("position %v after 50 events for others", got)
		}
		r.publish(1, "n.me")
		r.publish(1, "n.others")
		synctest.Wait()
		if got := c.sub.Position(); got.Seq > 50 {
			t.Errorf("position %v while event 51 waits to be sent", got)
		}
		c.step(t, r.ctx)
		if got := c.sub.Position(); got.Seq != 50 {
			t.Errorf("position %v while event 51 is being sent", got)
		}
		c.drain(t, r)
		if got := c.sub.Position(); got.Seq != 52 {
			t.Errorf("position %v at the end", got)
		}
	})
}

// TestSubscribe_WhilePublishing_JoinsExactly connects and disconnects clients of all speeds while events
// are stored, and compares the events of each client with the stored events of its subjects.
func TestSubscribe_WhilePublishing_JoinsExactly(t *testing.T) {
	for name, opts := range ways {
		t.Run(name, func(t *testing.T) {
			const total, users, clients = 6_000, 4, 24
			store := feedtest.NewMemStore()
			store.ReadBatch = 64
			r := newHarness(t, store, opts)
			ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
			defer cancel()
			var work sync.WaitGroup
			work.Go(func() {
				for i := range total {
					store.Publish(fmt.Sprintf("n.user.%d", i%users), "", nil)
					if i%97 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			})
			for n := range clients {
				work.Go(func() {
					if err := readInSessions(ctx, r, n, users, total); err != nil {
						t.Errorf("client %d: %v", n, err)
					}
				})
			}
			work.Wait()
		})
	}
}

// readInSessions reads one user's events in several subscriptions, until the last event.
func readInSessions(ctx context.Context, r *harness, n, users, total int) error {
	user, at := n%users, "0-e1"
	var got []uint64
	for lives := 0; len(got) < total/users; lives++ {
		sub, err := r.feed.Subscribe(ctx, feed.SubscribeOptions{
			Filters: []string{fmt.Sprintf("n.user.%d", user)}, Start: feed.Resume(at), ReplayFromStore: r.fromStore,
		})
		if err != nil {
			return err
		}
		for left := 1 + (n+lives*7)%150; left > 0 && len(got) < total/users; left-- {
			d, err := sub.Next(ctx)
			if err != nil || d.Gap != nil {
				sub.Close()
				return fmt.Errorf("after %d events: gap %v, error %w", len(got), d.Gap, err)
			}
			for _, f := range d.Frames {
				got, at = append(got, f.Seq), feed.Position{Seq: f.Seq, Epoch: "e1"}.String()
			}
			if n%3 == 0 {
				time.Sleep(time.Millisecond) // a slow one
			}
		}
		sub.Close()
	}
	var want []uint64
	for i := user; i < total; i += users {
		want = append(want, uint64(i+1))
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("got %d events, want %d: %v…", len(got), len(want), got[:min(20, len(got))])
	}
	return nil
}
