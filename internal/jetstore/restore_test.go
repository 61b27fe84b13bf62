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
	"github.com/tidemark/tidemark/internal/natstest"
)

// snapshot takes the stream as `nats stream backup` does, and returns a function that restores it as
// `nats stream restore` does.
func (s *harness) snapshot() (restore func()) {
	s.T.Helper()
	inbox := s.Conn.NewInbox()
	sub, err := s.Conn.SubscribeSync(inbox)
	if err != nil {
		s.T.Fatal(err)
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
			s.T.Fatal(err)
		}
		if len(msg.Data) == 0 {
			break
		}
		chunks = append(chunks, msg.Data)
		_ = msg.Respond(nil)
	}
	return func() { s.restoreFrom(of, chunks) }
}

func (s *harness) restoreFrom(of any, chunks [][]byte) {
	s.T.Helper()
	var to struct {
		Subject string `json:"deliver_subject"`
	}
	s.api("STREAM.RESTORE", of, &to)
	for _, chunk := range append(chunks, nil) {
		answer, err := s.Conn.Request(to.Subject, chunk, 20*time.Second)
		if err != nil {
			s.T.Fatal(err)
		}
		s.succeeded(answer)
	}
}

func (s *harness) api(op string, req, resp any) {
	s.T.Helper()
	body, err := json.Marshal(req)
	if err != nil {
		s.T.Fatal(err)
	}
	answer, err := s.Conn.Request("$JS.API."+op+"."+natstest.StreamName, body, 20*time.Second)
	if err != nil {
		s.T.Fatal(err)
	}
	s.succeeded(answer)
	if err := json.Unmarshal(answer.Data, resp); err != nil {
		s.T.Fatal(err)
	}
}

func (s *harness) succeeded(answer *nats.Msg) {
	s.T.Helper()
	var failure struct {
		Error json.RawMessage `json:"error"`
	}
	if len(answer.Data) > 0 && (json.Unmarshal(answer.Data, &failure) != nil || failure.Error != nil) {
		s.T.Fatalf("the API answers %s", answer.Data)
	}
}

// A stream that was restored is another incarnation, also with a chosen epoch and
// also when it has grown past the place where the tail was.
func TestFollow_RestoredStream_IsAnotherIncarnation(t *testing.T) {
	for name, cfg := range map[string]jetstream.StreamConfig{"epoch of its own": {}, "chosen epoch": withEpoch} {
		for _, refill := range []int{3, 20} {
			t.Run(fmt.Sprint(name, ", ", refill), func(t *testing.T) {
				s := newHarness(t)
				s.Reset(cfg)
				l := s.open(jetstore.Options{})
				s.PublishMany(5, "notifications.a")
				restore := s.snapshot()
				s.PublishMany(5, "notifications.a")
				loss := s.followToLoss(l, 10, func() {
					s.DeleteStream()
					restore()
					s.PublishMany(refill, "notifications.a")
				})
				s.expectLoss(loss, feed.NewEpoch, 11)
			})
		}
	}
}

var withEpoch = jetstream.StreamConfig{Metadata: map[string]string{"tidemark.epoch": "world-1"}}

// A stream with a chosen epoch that is created again is a loss for a follower.
func TestFollow_RecreatedWithItsEpoch_ReportsLoss(t *testing.T) {
	s := newHarness(t)
	s.Reset(withEpoch)
	l := s.open(jetstore.Options{})
	s.PublishMany(5, "notifications.a")
	born := s.state(l).Created
	var again sync.WaitGroup
	defer again.Wait()
	for ev, err := range l.Follow(s.Ctx(), feed.FollowOptions{From: 1, Epoch: "world-1", Created: born}) {
		if loss, ok := errors.AsType[*feed.LossError](err); ok {
			s.expectLoss(loss, feed.NewEpoch, 6)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if ev.Seq == 5 {
			again.Go(func() {
				s.Reset(withEpoch)
				s.PublishMany(9, "notifications.a")
			})
		}
	}
	t.Error("nothing was told")
}
