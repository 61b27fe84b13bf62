package feed_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/pkg/feed"
)

// A hole that a client came after is not announced to all yet when the tail meets another.
func TestPosition_HoleBehindAnUnannouncedOne_DoesNotFall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil, feed.Options{})
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

// Events that wait for a client are trimmed, and then the stream is another one.
func TestSubscription_PendingEventsTrimmedThenRecreated_AnnouncesTheEpochAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil, feed.Options{})
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
