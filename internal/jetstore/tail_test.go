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
)

// run starts a feed over a log, which ends with the test.
func (s *stand) run(log feed.Store, opts feed.Options) *feed.Feed {
	s.t.Helper()
	f := feed.New(log, opts)
	ctx, cancel := context.WithCancel(context.Background())
	var tail sync.WaitGroup
	tail.Go(func() { _ = f.Run(ctx) })
	s.t.Cleanup(func() { cancel(); tail.Wait() })
	return f
}

// The newest messages are deleted before the tail reads them, which reads one at a time. The follower
// reports it without the next publish, with the consumer that it has, and continues behind them.
func TestFollow_NewestDeletedBeforeRead_ReportsTheEnd(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{FollowBatch: 1, Heartbeat: 50 * time.Millisecond})
	s.publishMany(10, "notifications.a")
	var got []uint64
	for ev, err := range l.Follow(s.ctx(), feed.FollowOptions{From: 1, Epoch: s.epoch(l)}) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Deleted != (ev.Seq == 12) {
			t.Errorf("event %+v", ev)
		}
		got = append(got, ev.Seq)
		switch ev.Seq {
		case 10:
			s.publishMany(2, "notifications.a")
			s.deleteMsg(11)
			s.deleteMsg(12)
		case 12:
			s.publishMany(1, "notifications.a")
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
	s := newStand(t)
	l := s.open(jetstore.Options{FollowBatch: 1, Heartbeat: 50 * time.Millisecond})
	s.publishMany(5, "notifications.a")
	for ev, err := range l.Follow(s.ctx(), feed.FollowOptions{From: 1, Epoch: s.epoch(l)}) {
		if err != nil || ev.Deleted {
			t.Fatalf("event %+v, %v", ev, err)
		}
		if ev.Seq == 5 {
			s.publishMany(3, "notifications.a")
			s.deleteMsg(6)
			s.deleteMsg(7)
		}
		if ev.Seq == 8 {
			return
		}
	}
}

// goneLog deletes the stream when its state is asked for the next time after it was armed, and
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

// The stream is deleted at the moment when the tail meets a deleted message: the feed goes on in the
// stream that is created afterwards.
func TestFeed_StreamDeletedAtAHole_FollowsTheNextStream(t *testing.T) {
	s := newStand(t)
	l := &goneLog{Store: s.open(jetstore.Options{FollowBatch: 1})}
	s.publishMany(3, "notifications.a")
	f := s.run(l, feed.Options{})
	<-f.Ready()
	sub, err := f.Subscribe(s.ctx(), feed.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	epoch := f.Status().Epoch
	l.mu.Lock()
	l.gone = s.deleteStream
	l.mu.Unlock()
	s.deleteConsumers() // so that nothing is read until the hole is there
	s.publishMany(3, "notifications.a")
	s.deleteMsg(5)
	s.await("the stream is missed", func() bool { return errors.Is(f.Status().Lost, feed.ErrNoStream) })
	s.createStream(jetstream.StreamConfig{})
	s.publishMany(2, "notifications.a")
	s.await("the other stream is followed", func() bool {
		st := f.Status()
		return st.Epoch != epoch && st.High == 2 && st.Lost == nil
	})
	for {
		d, err := sub.Next(s.ctx())
		if err != nil {
			t.Fatal(err)
		}
		if n := len(d.Frames); n > 0 && d.Frames[n-1].Seq == 2 && sub.State() != feed.Closed {
			break
		}
	}
}

// A stream that keeps one message of each subject has holes all the time. A client that is not polled
// meanwhile gets every message that is still stored and matches.
func TestFeed_ManyHolesBeforeThePoll_DeliversWhatIsStored(t *testing.T) {
	s := newStand(t)
	s.reset(jetstream.StreamConfig{MaxMsgsPerSubject: 1, Storage: jetstream.MemoryStorage})
	f := s.run(s.open(jetstore.Options{}), feed.Options{})
	<-f.Ready()
	sub, err := f.Subscribe(s.ctx(), feed.SubscribeOptions{Filters: []string{"notifications.mine.*"}})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if _, behind, err := sub.Poll(1); behind || err != nil || sub.State() != feed.Live {
		t.Fatalf("the client is %s: %v", sub.State(), err)
	}
	const mine = 20
	for i := range mine {
		s.publishMany(100, "notifications.k")
		s.publish(fmt.Sprintf("notifications.mine.%d", i), nil, nil)
	}
	var got []string
	for len(got) < mine {
		d, err := sub.Next(s.ctx())
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
// more messages than before: none of them comes as one of the old stream.
func TestFollow_RecreatedWithoutAConsumer_ReportsTheIncarnation(t *testing.T) {
	for name, cfg := range map[string]jetstream.StreamConfig{"epoch of its own": {}, "chosen epoch": withEpoch} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			cfg.MaxConsumers = 1
			s.reset(cfg)
			l := s.open(jetstore.Options{})
			s.publish("notifications.a", []byte("old"), nil)
			var taking sync.WaitGroup
			defer taking.Wait()
			for ev, err := range l.Follow(s.ctx(), feed.FollowOptions{From: 1, Epoch: s.epoch(l), Born: s.state(l).Born}) {
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
						s.publish("notifications.a", []byte("old"), nil)
					})
				case 2: // read alone
					s.reset(cfg)
					if _, err := s.js.CreateConsumer(s.ctx(), streamName, jetstream.ConsumerConfig{Name: "taken"}); err != nil {
						t.Fatal(err)
					}
					s.publishMany(10, "notifications.a")
				}
			}
			t.Error("the other incarnation was not reported")
		})
	}
}

// A follower that is given what was read before compares it, too.
func TestFollow_ReadAnotherEventBefore_ReportsTheLoss(t *testing.T) {
	s := newStand(t)
	l := s.open(jetstore.Options{})
	s.publishMany(5, "notifications.a")
	var third time.Time
	epoch := s.epoch(l)
	for ev, err := range l.Follow(s.ctx(), feed.FollowOptions{From: 3, Epoch: epoch}) {
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
		for ev, err := range l.Follow(s.ctx(), feed.FollowOptions{From: 5, Epoch: epoch, Read: c.read}) {
			loss, lost := errors.AsType[*feed.LossError](err)
			if lost != c.lost || lost && (!loss.Again || loss.Reason != feed.Possible) || !lost && ev.Seq != 5 {
				t.Errorf("%s: %+v, %v", name, ev, err)
			}
			break
		}
	}
}
