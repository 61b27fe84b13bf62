package jetstore_test

import (
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/natstest"
)

// Another client takes the only consumer that the stream may have: events are still delivered
// unchanged.
func TestFollow_ConsumerTaken_ReadsFromLeader(t *testing.T) {
	s := newHarness(t)
	s.Reset(jetstream.StreamConfig{MaxConsumers: 1})
	l := s.open(jetstore.Options{})
	s.Publish("notifications.a", []byte("1"), nil)
	type what struct{ subject, typ, data string }
	want := []what{{"notifications.a", "", "1"}, {"notifications.b", "greeting", "2"}, {"notifications.c", "", ""}, {"notifications.d", "", "4"}}
	var taking sync.WaitGroup
	defer taking.Wait()
	for ev, err := range l.Follow(s.Ctx(), feed.FollowOptions{From: 1, Epoch: s.epoch(l)}) {
		if err != nil {
			t.Fatal(err)
		}
		if got := (what{ev.Subject, ev.Type, string(ev.Data)}); got != want[ev.Seq-1] || ev.Time.IsZero() {
			t.Errorf("event %d is %+v, want %+v", ev.Seq, got, want[ev.Seq-1])
		}
		switch ev.Seq {
		case 1:
			taking.Go(func() {
				s.takeConsumer()
				s.Publish("notifications.b", []byte("2"), nats.Header{"Event-Type": {"greeting"}})
				s.Publish("notifications.c", nil, nats.Header{"Status": {"503"}})
			})
		case 3: // with a consumer again
			if err := s.JS.DeleteConsumer(s.Ctx(), natstest.StreamName, "taken"); err != nil {
				t.Fatal(err)
			}
			taking.Go(func() {
				s.Await("the tail has a consumer", func() bool { return len(s.Consumers("tidemark-tail-")) == 1 })
				s.Publish("notifications.d", []byte("4"), nil)
			})
		case 4:
			return
		}
	}
}

func (s *harness) takeConsumer() {
	s.T.Helper()
	s.Await("the consumer is taken", func() bool {
		s.deleteConsumers()
		_, err := s.JS.CreateConsumer(s.Ctx(), natstest.StreamName, jetstream.ConsumerConfig{Name: "taken"})
		return err == nil
	})
}
