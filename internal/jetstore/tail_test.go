package jetstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/natstest"
)

// run starts a feed over a log, which ends with the test.
func (s *harness) run(log feed.Store, opts feed.Options) *feed.Feed {
	s.T.Helper()
	f := feed.New(log, opts)
	ctx, cancel := context.WithCancel(context.Background())
	var tail sync.WaitGroup
	tail.Go(func() { _ = f.Run(ctx) })
	s.T.Cleanup(func() { cancel(); tail.Wait() })
	return f
}

// The newest messages are deleted before the tail reads them, which reads one at a time. The follower
// reports it without the next publish, with the consumer that it has, and continues behind them.
func TestFollow_NewestDeletedBeforeRead_ReportsTheEnd(t *testing.T) {
	s := newHarness(t)
	l := s.open(jetstore.Options{FollowBatch: 1, Heartbeat: 50 * time.Millisecond})
	s.PublishMany(10, "notifications.a")
	var got []uint64
	for ev, err := range l.Follow(s.Ctx(), feed.FollowOptions{From: 1, Epoch: s.epoch(l)}) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Deleted != (ev.Seq == 12) {
			t.Errorf("event %+v", ev)
		}
		got = append(got, ev.Seq)
		switch ev.Seq {
		case 10:
			s.PublishMany(2, "notifications.a")
			s.DeleteMsg(11)
			s.DeleteMsg(12)
		case 12:
			s.PublishMany(1, "notifications.a")
		}
		if ev.Seq == 13 {
			break
		}
	}
	if want := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13}; !slices.Equal(got, want) {
		t.Errorf("followed %v, want %v", got, want)
	}
	if status := l.Status(); status.Creates != 1 || status.TailRestarts != 0 {
		t.Errorf("the tail made %d consumers, and replaced %d", status.Creates, status.TailRestarts)
	}
}

// Messages in the middle are deleted, and the end is stored: nothing is reported as the end.
func TestFollow_DeletedBeforeTheEnd_ReportsNoEnd(t *testing.T) {
	s := newHarness(t)
	l := s.open(jetstore.Options{FollowBatch: 1, Heartbeat: 50 * time.Millisecond})
	s.PublishMany(5, "notifications.a")
	for ev, err := range l.Follow(s.Ctx(), feed.FollowOptions{From: 1, Epoch: s.epoch(l)}) {
		if err != nil || ev.Deleted {
			t.Fatalf("event %+v, %v", ev, err)
		}
		if ev.Seq == 5 {
			s.PublishMany(3, "notifications.a")
			s.DeleteMsg(6)
			s.DeleteMsg(7)
		}
		if ev.Seq == 8 {
			return
		}
	}
}

// goneLog deletes the stream upon the next request for its state after it was armed, and
// creates another one later.
type goneLog struct {
	*jetstore.Store
	mu   sync.Mutex
	gone func()
}

func (l *goneLog) State(ctx context.Context) (feed.State, error) {
	l.mu.Lock()
	gone := l.gone
	l.gone = nil
	l.mu.Unlock()
	if gone != nil {
		gone()
	}
	return l.Store.State(ctx)
}

// The stream is deleted at the moment when the tail meets a deleted message: the feed continues in the
// stream that is created afterwards.
func TestFeed_StreamDeletedAtAHole_FollowsTheNextStream(t *testing.T) {
	s := newHarness(t)
	l := &goneLog{Store: s.open(jetstore.Options{FollowBatch: 1})}
	s.PublishMany(3, "notifications.a")
	f := s.run(l, feed.Options{})
	<-f.Ready()
	sub, err := f.Subscribe(s.Ctx(), feed.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	epoch := f.Status().Epoch
	l.mu.Lock()
	l.gone = s.DeleteStream
	l.mu.Unlock()
	s.deleteConsumers() // so that nothing is read until the hole is there
	s.PublishMany(3, "notifications.a")
	s.DeleteMsg(5)
	s.Await("the stream is missed", func() bool { return errors.Is(f.Status().Lost, feed.ErrNoStream) })
	s.CreateStream(jetstream.StreamConfig{})
	s.PublishMany(2, "notifications.a")
	s.Await("the other stream is followed", func() bool {
		st := f.Status()
		return st.Epoch != epoch && st.High == 2 && st.Lost == nil
	})
	for {
		d, err := sub.Next(s.Ctx())
		if err != nil {
			t.Fatal(err)
		}
		if n := len(d.Frames); n > 0 && d.Frames[n-1].Seq == 2 && sub.State() != feed.Closed {
			break
		}
	}
}

// A stream that keeps one message of each subject has holes all the time. A client that is not polled
// at that time gets every message that is still stored and matches.
func TestFeed_ManyHolesBeforeThePoll_DeliversWhatIsStored(t *testing.T) {
	s := newHarness(t)
	s.Reset(jetstream.StreamConfig{MaxMsgsPerSubject: 1, Storage: jetstream.MemoryStorage})
	f := s.run(s.open(jetstore.Options{}), feed.Options{})
	<-f.Ready()
	sub, err := f.Subscribe(s.Ctx(), feed.SubscribeOptions{Filters: []string{"notifications.mine.*"}})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if _, behind, err := sub.Poll(1); behind || err != nil || sub.State() != feed.Live {
		t.Fatalf("the client is %s: %v", sub.State(), err)
	}
	const mine = 20
	for i := range mine {
		s.PublishMany(100, "notifications.k")
		s.Publish(fmt.Sprintf("notifications.mine.%d", i), nil, nil)
	}
	var got []string
	for len(got) < mine {
		d, err := sub.Next(s.Ctx())
		if err != nil {
			t.Fatalf("%d of %d events: %v", len(got), mine, err)
		}
		for _, frame := range d.Frames {
			got = append(got, frame.Subject)
		}
	}
	for i, subject := range got {
		if want := fmt.Sprintf("notifications.mine.%d", i); subject != want {
			t.Fatalf("event %d is of %s, want %s", i, subject, want)
		}
	}
}

// While no consumer can be had, and messages are read one by one, the stream is created again and has
// more messages than before: its messages are not delivered as those of the old stream.
func TestFollow_RecreatedWithoutAConsumer_ReportsTheIncarnation(t *testing.T) {
	for name, cfg := range map[string]jetstream.StreamConfig{"epoch of its own": {}, "chosen epoch": withEpoch} {
		t.Run(name, func(t *testing.T) {
			s := newHarness(t)
			cfg.MaxConsumers = 1
			s.Reset(cfg)
			l := s.open(jetstore.Options{})
			s.Publish("notifications.a", []byte("old"), nil)
			var taking sync.WaitGroup
			defer taking.Wait()
			for ev, err := range l.Follow(s.Ctx(), feed.FollowOptions{From: 1, Epoch: s.epoch(l), Created: s.state(l).Created}) {
				if loss, ok := errors.AsType[*feed.LossError](err); ok {
					s.expectLoss(loss, feed.NewEpoch, 3)
					return
				}
				if err != nil || string(ev.Data) != "old" {
					t.Fatalf("event %d is %q: %v", ev.Seq, ev.Data, err)
				}
				switch ev.Seq {
				case 1:
					taking.Go(func() {
						s.takeConsumer()
						s.Publish("notifications.a", []byte("old"), nil)
					})
				case 2: // read alone
					s.Reset(cfg)
					if _, err := s.JS.CreateConsumer(s.Ctx(), natstest.StreamName, jetstream.ConsumerConfig{Name: "taken"}); err != nil {
						t.Fatal(err)
					}
					s.PublishMany(10, "notifications.a")
				}
			}
			t.Error("the other incarnation was not reported")
		})
	}
}

// A follower that is given what was read before compares it, too.
func TestFollow_ReadAnotherEventBefore_ReportsTheLoss(t *testing.T) {
	s := newHarness(t)
	l := s.open(jetstore.Options{})
	s.PublishMany(5, "notifications.a")
	var third time.Time
	epoch := s.epoch(l)
	for ev, err := range l.Follow(s.Ctx(), feed.FollowOptions{From: 3, Epoch: epoch}) {
		if err != nil {
			t.Fatal(err)
		}
		third = ev.Time
		break
	}
	for name, c := range map[string]struct {
		read feed.Mark
		lost bool
	}{
		"the same":    {feed.Mark{Seq: 3, Time: third}, false},
		"another":     {feed.Mark{Seq: 3, Time: third.Add(1)}, true},
		"none":        {feed.Mark{}, false},
		"another one": {feed.Mark{Seq: 4, Time: third}, true},
	} {
		for ev, err := range l.Follow(s.Ctx(), feed.FollowOptions{From: 5, Epoch: epoch, Read: c.read}) {
			loss, lost := errors.AsType[*feed.LossError](err)
			if lost != c.lost || lost && (!loss.Reused || loss.Reason != feed.Possible) || !lost && ev.Seq != 5 {
				t.Errorf("%s: %+v, %v", name, ev, err)
			}
			break
		}
	}
}
