package feed_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

// Deletions before the stretch that is loaded at the start do not keep it from being loaded; those
// within are holes.
func TestFeed_DeletedBeforeStart_LoadsWindow(t *testing.T) {
	for _, c := range []struct {
		name    string
		deleted uint64
		events  int
		resume  []string // of a client that has 980
	}{
		{"before the stretch", 2, 100, texts(span(981, 1000))},
		{"within the stretch", 990, 99, append([]string{"gap:possible"}, append(texts(span(981, 989)), texts(span(991, 1000))...)...)},
		{"at its end", 1000, 99, append([]string{"gap:possible"}, texts(span(981, 999))...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := feedtest.NewMemStore()
				for range 1000 {
					log.Publish("n.a", "", nil)
				}
				log.Delete(c.deleted)
				r := newHarness(t, log, feed.Options{WindowEvents: 100})
				<-r.feed.Ready()
				synctest.Wait()
				if st := r.feed.Status(); st.Events != c.events {
					t.Errorf("the window holds %d events, want %d", st.Events, c.events)
				}
				client := r.subscribe(t, feed.Resume("980"), "n.a")
				client.drain(t, r)
				client.want(t, c.resume...)
				if st := r.feed.Status(); st.FromStore != 0 {
					t.Error("the resume took the log")
				}
			})
		})
	}
}

// makeHole publishes an event that the tail cannot read before it is deleted.
func (r *harness) makeHole(subject string) {
	r.SetDown(errors.New("cut"))
	r.Delete(r.Publish(subject, "", nil))
	r.SetDown(nil)
	synctest.Wait()
}

// A client whose subjects are quiet gets at most one gap a second for the holes that the tail meets,
// with a position that does not pass a hole before its gap.
func TestSubscription_ManyHoles_MergesGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		<-r.feed.Ready()
		c := r.subscribe(t, feed.Start{}, "n.quiet")
		var at []time.Time
		ctx, cancel := context.WithCancel(r.ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				d, err := c.sub.Next(ctx)
				if err != nil {
					return
				}
				c.take(d)
				at = append(at, time.Now())
			}
		}()
		begun := time.Now()
		for range 500 {
			position := c.sub.Position()
			if gap := len(at); gap > 0 && position.Seq < c.gaps[gap-1].Continues.Seq {
				t.Errorf("the position is %v after the gap %+v", position, c.gaps[gap-1])
			}
			r.makeHole("n.other")
			r.publish(1, "n.other")
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
		}
		time.Sleep(3 * time.Second)
		cancel()
		<-done
		if most := int(time.Since(begun)/time.Second) + 1; len(at) == 0 || len(at) > most {
			t.Errorf("%d gaps in %v", len(at), time.Since(begun))
		}
		if p := c.sub.Position(); p.Seq != 1000 {
			t.Errorf("in the end the position is %v", p)
		}
	})
}

// Events behind a hole wait for its gap, and no client receives one before.
func TestSubscription_EventsBehindHoles_FollowTheGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		<-r.feed.Ready()
		r.publish(1, "n.b")
		c := r.subscribe(t, feed.Start{}, "n.a")
		r.makeHole("n.a") // 2
		r.publish(1, "n.a")
		synctest.Wait()
		c.step(t, r.ctx)
		c.step(t, r.ctx)
		c.want(t, "gap:possible", "3")
		r.makeHole("n.a") // 4
		r.publish(2, "n.a")
		synctest.Wait()
		if d, behind, err := c.sub.Poll(1 << 20); !d.Empty() || behind || err != nil {
			t.Errorf("in the same round: %+v, %v, %v", d, behind, err)
		}
		if p := c.sub.Position(); p.Seq != 3 {
			t.Errorf("the position %v is past the hole", p)
		}
		c.drain(t, r)
		c.want(t, "gap:possible", "3", "gap:possible", "5", "6")
	})
}

// A position before a hole gets a gap also where the live client that had it was cut off before its
// gap came.
func TestSubscription_CutOffBeforeGap_GetsItWhenResuming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{})
		r.publish(5, "n.a")
		synctest.Wait()
		live := r.subscribe(t, feed.Start{}, "n.quiet")
		live.sub.Poll(1 << 20)
		r.makeHole("n.quiet")
		r.publish(5, "n.a")
		synctest.Wait()
		at := live.sub.Position()
		live.sub.Close()
		again := r.subscribe(t, feed.Resume(at.String()), "n.quiet")
		again.want(t, "gap:possible")
	})
}

// The window knows the subjects of events that it held: only clients that match them get a gap.
func TestResume_EventOfOtherSubjectDeleted_SendsNoGap(t *testing.T) {
	for _, filters := range [][]string{{"n.b"}, {"n.b", "n.*.c"}, {"n.*.c", "m.>"}} {
		synctest.Test(t, func(t *testing.T) {
			r := newHarness(t, nil, feed.Options{})
			r.publish(3, "n.a")
			r.publish(3, "n.b")
			synctest.Wait()
			r.Delete(2)
			time.Sleep(1500 * time.Millisecond)
			if n := r.feed.Status().Removed[feed.RemovedDeleted]; n != 1 {
				t.Errorf("%d events left the window", n)
			}
			other := r.subscribe(t, feed.Resume("1"), filters...)
			other.drain(t, r)
			if len(other.gaps) != 0 {
				t.Errorf("%v received %v", filters, other.log)
			}
			for _, matching := range []string{"n.a", "n.*", ">"} {
				c := r.subscribe(t, feed.Resume("1"), matching)
				c.drain(t, r)
				if len(c.gaps) != 1 || c.gaps[0].Reason != feed.Possible {
					t.Errorf("%s received %v", matching, c.log)
				}
			}
			after := r.subscribe(t, feed.Resume("2"), "n.a")
			after.drain(t, r)
			after.want(t, "3")
		})
	}
}

// More subjects than are remembered count as unknown, the older ones first.
func TestResume_ManySubjectsDeleted_BoundsWhatIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := feedtest.NewMemStore()
		log.SetLimits(feedtest.Limits{MaxPerSubject: 1})
		log.ReadBatch = 1000
		r := newHarness(t, log, feed.Options{})
		const subjects = 20_000
		r.publish(1, "n.kept")
		for range 2 {
			for i := range subjects {
				r.Publish(fmt.Sprint("n.", i), "", nil)
			}
			synctest.Wait()
			time.Sleep(1500 * time.Millisecond)
		}
		if n := r.feed.Status().Removed[feed.RemovedSuperseded]; n != subjects {
			t.Fatalf("%d events were superseded", n)
		}
		early := r.subscribe(t, feed.Resume("1"), "n.kept") // of whose subject nothing was deleted
		early.want(t, "gap:possible")
		late := r.subscribe(t, feed.Resume(fmt.Sprint(subjects+1)), "n.kept")
		late.want(t)
	})
}

// An event that waits for a slow client after it has left the window is not sent once it is deleted.
func TestSubscription_DeletedAfterItLeftTheWindow_IsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHarness(t, nil, feed.Options{WindowEvents: 3})
		<-r.feed.Ready()
		slow := r.subscribe(t, feed.Start{}, "n.a")
		slow.sub.Poll(1 << 20)
		r.publish(3, "n.a")
		r.publish(10, "n.b")
		synctest.Wait()
		r.Delete(2)
		time.Sleep(1500 * time.Millisecond)
		slow.drain(t, r)
		slow.want(t, "gap:possible", "1", "3")
	})
}

// A stream that begins to keep more events of a subject is followed from then on.
func TestWindow_LimitRaised_KeepsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := feedtest.NewMemStore()
		log.SetLimits(feedtest.Limits{MaxPerSubject: 1})
		r := newHarness(t, log, feed.Options{})
		r.publish(3, "n.a")
		time.Sleep(1100 * time.Millisecond)
		log.SetLimits(feedtest.Limits{MaxPerSubject: 3})
		r.publish(2, "n.a")
		time.Sleep(2 * time.Second)
		c := r.subscribe(t, feed.Resume("2"), "n.a")
		c.drain(t, r)
		c.want(t, "3", "4", "5")
	})
}

// A leader that does not answer is an outage: deletions cannot be followed.
func TestFeed_LeaderSilent_IsAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &silentLog{MemStore: feedtest.NewMemStore()}
		r := newHarnessOn(t, log, log.MemStore, feed.Options{})
		<-r.feed.Ready()
		answer := make(chan struct{})
		log.silent.Store(&answer)
		time.Sleep(10 * time.Second)
		if err := r.feed.Status().Lost; err == nil || r.feed.LostFor() == 0 {
			t.Errorf("lost: %v, for %v", err, r.feed.LostFor())
		}
		log.silent.Store(nil)
		close(answer)
		time.Sleep(10 * time.Second)
		if err := r.feed.Status().Lost; err != nil || r.feed.LostFor() != 0 {
			t.Errorf("afterwards lost: %v, for %v", err, r.feed.LostFor())
		}
	})
}

// silentLog is a log whose leader does not answer for a while, though events are read from a replica.
type silentLog struct {
	*feedtest.MemStore
	silent atomic.Pointer[chan struct{}]
}

func (l *silentLog) State(ctx context.Context) (feed.State, error) {
	if answer := l.silent.Load(); answer != nil {
		select {
		case <-*answer:
		case <-ctx.Done():
			return feed.State{}, context.Cause(ctx)
		}
	}
	return l.MemStore.State(ctx)
}

// Events that wait for a client when the tail is moved behind a loss are sent before its gap, unless
// the stream has trimmed them.
func TestSubscription_PendingAtReset_IsSentUnlessTrimmed(t *testing.T) {
	for first, want := range map[uint64][]string{
		11: {"gap:trimmed", "11", "12"},
		7:  {"gap:possible", "7", "8", "9", "10", "11", "12"},
		6:  {"6", "7", "8", "9", "10", "11", "12"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newHarness(t, nil, feed.Options{})
			r.publish(5, "n.a")
			synctest.Wait()
			r.Delete(2)
			time.Sleep(1500 * time.Millisecond) // the stream is known to have deletions
			c := r.subscribe(t, feed.Resume("5"), "n.a")
			c.sub.Poll(1 << 20)
			r.publish(2, "n.a")
			synctest.Wait()
			r.SetDown(errors.New("cut"))
			r.publish(5, "n.a")
			r.Trim(first)
			r.SetDown(nil)
			time.Sleep(1500 * time.Millisecond)
			c.drain(t, r)
			c.want(t, want...)
		})
	}
}
