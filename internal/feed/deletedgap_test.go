package feed_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// A client connects after a deleted sequence whose gap is not announced yet. Then the tail meets another
// deleted sequence.
func TestPosition_HoleBehindAnUnannouncedOne_DoesNotFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		r.publish(3, "n.a")
		hole := func() {
			r.SetDown(errors.New("cut"))
			r.Delete(r.Publish("n.a", "", nil))
			r.publish(1, "n.a")
			r.SetDown(nil)
			synctest.Wait()
		}
		synctest.Wait()
		hole() // 4
		quiet := r.subscribe(t, feed.Start{}, "n.quiet")
		if _, _, err := quiet.sub.Poll(1 << 20); err != nil { // it is live from now on, and no time has passed
			t.Fatal(err)
		}
		r.publish(4, "n.a")
		synctest.Wait()
		before := quiet.sub.Position()
		hole()
		if now := quiet.sub.Position(); now.Seq < before.Seq {
			t.Errorf("the position falls from %s to %s", before, now)
		}
		quiet.drain(t, r)
		quiet.want(t, "gap:possible")
	})
}

// The pending events of a client are trimmed, and then the stream is created again.
func TestSubscription_PendingEventsTrimmedThenRecreated_AnnouncesTheEpochAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		r.publish(2, "n.a")
		synctest.Wait()
		c := r.subscribe(t, feed.Start{}, "n.a")
		c.drain(t, r)
		r.publish(3, "n.a")
		synctest.Wait()
		r.Trim(6)
		time.Sleep(3 * time.Second) // the window has followed
		r.Recreate()
		r.publish(2, "n.a")
		synctest.Wait()
		c.drain(t, r)
		c.want(t, "gap:epoch", "1", "2")
	})
}

// live subscribes at the end of the stream, and reads nothing yet.
func (r *harness) live(t *testing.T, filters ...string) *client {
	t.Helper()
	synctest.Wait()
	c := r.subscribe(t, feed.Start{}, filters...)
	if _, _, err := c.sub.Poll(1 << 20); err != nil {
		t.Fatal(err)
	}
	return c
}

// A client that left live delivery at a deleted sequence keeps its pending events. When the stream then loses
// its end, the position of the client is after these events.
func TestReset_EndLostBehindAHoleWithEventsWaiting_AnnouncesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		r.publish(10, "n.a")
		c := r.live(t, "n.a")
		r.SetDown(errors.New("cut"))
		r.publish(3, "n.a") // 11 12 13
		r.Delete(12)
		r.SetDown(nil)
		synctest.Wait()
		r.Rollback(10)
		synctest.Wait()
		r.publish(3, "n.a")
		c.drain(t, r)
		c.want(t, "11", "gap:future", "11", "12", "13")
	})
}

// The pending events of a client are dropped, as some of them may have been deleted. The gap of the loss after
// them must not skip them.
func TestSubscription_DroppedEventsBeforeALoss_AreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		r.publish(10, "n.a")
		c := r.live(t, "n.b")
		r.publish(1, "n.b") // 11
		r.publish(3, "n.a") // 12 13 14
		synctest.Wait()
		r.SetDown(errors.New("cut"))
		r.Rollback(12)
		r.Delete(12)
		r.publish(4, "n.b") // 13 to 16
		r.SetDown(nil)
		synctest.Wait()
		c.drain(t, r)
		c.want(t, "gap:possible", "11", "13", "14", "15", "16")
	})
}

// Pending events were trimmed, and the stream then loses its end. Both losses are announced, each before
// the events after it.
func TestSubscription_TrimmedEventsThenEndLost_AnnouncesBothInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		r.publish(10, "n.a")
		c := r.live(t, "n.a")
		r.publish(2, "n.a")
		synctest.Wait()
		r.Trim(13)
		time.Sleep(3 * time.Second) // the window has followed
		r.publish(1, "n.a")
		synctest.Wait()
		r.Rollback(12)
		synctest.Wait()
		r.publish(1, "n.a")
		c.drain(t, r)
		c.want(t, "gap:possible", "13", "gap:future", "13")
	})
}

// A stream is deleted while a client has pending events that left the window because of its size.
func TestSubscription_StreamDeletedWhileEventsWait_DeliversNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{WindowEvents: 1})
		r.publish(3, "n.a")
		c := r.live(t, "n.a")
		r.publish(3, "n.a")
		synctest.Wait()
		r.Remove()
		time.Sleep(3 * time.Second) // two polls
		if d, _, err := c.sub.Poll(1 << 20); err != nil || len(d.Frames) > 0 {
			t.Errorf("received %d events of a stream that was deleted, %v", len(d.Frames), err)
		}
		r.Recreate()
		r.publish(1, "n.a")
		c.drain(t, r)
		c.want(t, "gap:epoch", "1")
	})
}
