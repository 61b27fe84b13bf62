package feed_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

// mirrorHarness is a mirror with ten events.
func mirrorHarness(t *testing.T, opts feed.Options) *harness {
	store := feedtest.NewMemStore()
	store.SetCopy(feed.CopyBehind)
	r := newHarness(t, store, opts)
	r.publish(10, "n.a")
	return r
}

// A client that is ahead of the mirror waits for the events after its position without a limit,
// while the mirror follows its origin.
func TestResume_AheadOfTheMirror_WaitsForLaterEvents(t *testing.T) {
	for name, opts := range map[string]feed.Options{"window": {}, "store": fromStore} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := mirrorHarness(t, opts)
				c := r.subscribe(t, feed.Resume("14-e1"), "n.>")
				if o := c.sub.StartInfo(); !o.Resumed || o.Gap != nil || o.ID != "14-e1" {
					t.Errorf("opened with %+v", o)
				}
				c.drain(t, r)
				time.Sleep(time.Hour)
				if at := c.sub.Position(); at != (feed.Position{Seq: 14, Epoch: "e1"}) {
					t.Errorf("waits at %v", at)
				}
				r.publish(2, "n.a")
				r.SetCopy(feed.CopyCaughtUp) // for a moment
				time.Sleep(1500 * time.Millisecond)
				r.SetCopy(feed.CopyBehind)
				c.drain(t, r)
				r.publish(4, "n.a")
				c.drain(t, r)
				c.want(t, "15", "16")
			})
		})
	}
}

// A mirror that stays caught up below the position shows that the origin has lost the events.
func TestResume_BeyondTheOriginOfAMirror_SendsFutureGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mirrorHarness(t, feed.Options{})
		r.SetCopy(feed.CopyCaughtUp)
		c := r.subscribe(t, feed.Resume("14-e1"), "n.>")
		c.drain(t, r)
		time.Sleep(time.Minute)
		r.publish(3, "n.a")
		c.drain(t, r)
		c.want(t, "gap:future", "11", "12", "13")
		if g := c.gaps[0]; g.Requested != "14-e1" || g.Continues.Seq != 10 {
			t.Errorf("the gap is %+v", g)
		}
	})
}

// A mirror that becomes an ordinary stream assigns the sequences in between to other events, also if
// it has passed the position before the feed reads its state.
func TestMirrorWait_MirrorPromoted_SendsFutureGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mirrorHarness(t, feed.Options{})
		c := r.subscribe(t, feed.Resume("14-e1"), "n.>")
		r.SetCopy(feed.Original)
		r.publish(6, "n.a")
		c.drain(t, r)
		time.Sleep(time.Minute)
		c.drain(t, r)
		r.publish(1, "n.a")
		c.drain(t, r)
		c.want(t, "15", "16", "gap:future", "17")
	})
}

// A stream that was created again with the same epoch is another stream to all connected clients, live
// or behind.
func TestFeed_RecreatedWithTheSameEpoch_SendsEpochGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		r.publish(10, "n.a")
		live := r.subscribe(t, feed.Resume("9-e1"), "n.>")
		live.drain(t, r)
		behind := r.subscribe(t, feed.Resume("2-e1"), "n.>")
		r.RecreateAlike()
		r.publish(3, "n.a")
		live.drain(t, r)
		live.want(t, "10", "gap:epoch", "1", "2", "3")
		behind.drain(t, r)
		behind.want(t, "gap:epoch", "1", "2", "3")
		back := r.subscribe(t, feed.Resume("2-e1"), "n.>") // the position may be of either stream
		back.drain(t, r)
		back.want(t, "gap:possible", "3")
	})
}

func TestReplay_RecreatedWithTheSameEpoch_SendsEpochGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, fromStore)
		r.publish(10, "n.a")
		c := r.subscribe(t, feed.Resume("2-e1"), "n.>")
		c.step(t, r.ctx)
		c.want(t, "3", "4", "5")
		r.RecreateAlike()
		r.publish(12, "n.a")
		synctest.Wait() // until the tail has detected it: the window serves its older frames, too
		c.drain(t, r)
		c.want(t, append([]string{"3", "4", "5", "gap:epoch"}, texts(span(1, 12))...)...)
	})
}

// A stream that lost its end has grown past it again. Positions with a sequence that was assigned twice
// receive a gap.
func TestResume_SequenceReused_SendsPossibleGap(t *testing.T) {
	for name, opts := range map[string]feed.Options{"window": {}, "store": fromStore} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newHarness(t, nil, opts)
				r.publish(10, "n.a")
				synctest.Wait()
				r.Rollback(5)
				synctest.Wait()
				r.publish(10, "n.a")
				synctest.Wait()
				for id, want := range map[string][]string{
					"5-e1":  texts(span(6, 15)),
					"6-e1":  append([]string{"gap:possible"}, texts(span(7, 15))...),
					"10-e1": append([]string{"gap:possible"}, texts(span(11, 15))...),
					"11-e1": texts(span(12, 15)),
				} {
					c := r.subscribe(t, feed.Resume(id), "n.>")
					c.drain(t, r)
					c.want(t, want...)
				}
			})
		})
	}
}
