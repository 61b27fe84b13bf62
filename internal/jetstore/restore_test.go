package jetstore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

// snapshot takes the stream as `nats stream backup` does, and returns what `nats stream restore`
// does with it.
func (s *stand) snapshot() (restore func()) {
	s.t.Helper()
	inbox := s.nc.NewInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	var of struct {
		Config json.RawMessage `json:"config"`
		State  json.RawMessage `json:"state"`
	}
	s.api("STREAM.SNAPSHOT", map[string]any{"deliver_subject": inbox, "no_consumers": true}, &of)
	var chunks [][]byte
	for {
		msg, err := sub.NextMsg(20 * time.Second)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(msg.Data) == 0 {
			break
		}
		chunks = append(chunks, msg.Data)
		_ = msg.Respond(nil)
	}
	return func() { s.restoreFrom(of, chunks) }
}

func (s *stand) restoreFrom(of any, chunks [][]byte) {
	s.t.Helper()
	var to struct {
		Subject string `json:"deliver_subject"`
	}
	s.api("STREAM.RESTORE", of, &to)
	for _, chunk := range append(chunks, nil) {
		answer, err := s.nc.Request(to.Subject, chunk, 20*time.Second)
		if err != nil {
			s.t.Fatal(err)
		}
		s.succeeded(answer)
	}
}

func (s *stand) api(op string, req, resp any) {
	s.t.Helper()
	body, err := json.Marshal(req)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := s.nc.Request("$JS.API."+op+"."+streamName, body, 20*time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	s.succeeded(answer)
	if err := json.Unmarshal(answer.Data, resp); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stand) succeeded(answer *nats.Msg) {
	s.t.Helper()
	var failure struct {
		Error json.RawMessage `json:"error"`
	}
	if len(answer.Data) > 0 && (json.Unmarshal(answer.Data, &failure) != nil || failure.Error != nil) {
		s.t.Fatalf("the API answers %s", answer.Data)
	}
}

// A stream that was restored is another incarnation, also with an epoch that somebody chose and
// also when it has grown past the place where the tail was.
func TestFollowRestored(t *testing.T) {
	for name, cfg := range map[string]jetstream.StreamConfig{"epoch of its own": {}, "chosen epoch": withEpoch} {
		for _, refill := range []int{3, 20} {
			t.Run(fmt.Sprint(name, ", ", refill), func(t *testing.T) {
				s := newStand(t)
				s.reset(cfg)
				l := s.open(jetstore.Options{})
				s.publishMany(5, "notifications.a")
				restore := s.snapshot()
				s.publishMany(5, "notifications.a")
				loss := s.followToLoss(l, 10, func() {
					s.deleteStream()
					restore()
					s.publishMany(refill, "notifications.a")
				})
				s.expectLoss(loss, feed.NewEpoch, 11)
			})
		}
	}
}

var withEpoch = jetstream.StreamConfig{Metadata: map[string]string{"tidemark.epoch": "world-1"}}

// With an epoch that somebody chose, a stream that was made anew is told to who is there.
func TestFollowRecreatedWithItsEpoch(t *testing.T) {
	s := newStand(t)
	s.reset(withEpoch)
	l := s.open(jetstore.Options{})
	s.publishMany(5, "notifications.a")
	born := s.state(l).Created
	var again sync.WaitGroup
	defer again.Wait()
	for ev, err := range l.Follow(s.ctx(), feed.FollowOptions{From: 1, Epoch: "world-1", Created: born}) {
		if loss, ok := errors.AsType[*feed.LossError](err); ok {
			s.expectLoss(loss, feed.NewEpoch, 6)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if ev.Seq == 5 {
			again.Go(func() {
				s.reset(withEpoch)
				s.publishMany(9, "notifications.a")
			})
		}
	}
	t.Error("nothing was told")
}
