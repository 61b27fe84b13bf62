package publish_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natstest"
	"github.com/tidemark/tidemark/internal/publish"
)

func TestPublish(t *testing.T) {
	s := newHarness(t)
	p := s.publisher()
	msg := feed.Message{Subject: "notifications.user.1", Type: "greeting", Data: []byte("hi"), ID: "a"}
	first := p.Publish(s.Ctx(), msg)[0]
	want := feed.Ack{Stream: natstest.StreamName, Position: feed.Position{Seq: 1, Epoch: s.epoch()}}
	if first.Err != nil || first.Ack != want {
		t.Errorf("first: %+v, want %+v", first, want)
	}
	want.Duplicate = true
	if again := p.Publish(s.Ctx(), msg)[0]; again.Err != nil || again.Ack != want {
		t.Errorf("again: %+v, want %+v", again, want)
	}
	stored, err := s.Stream().GetMsg(s.Ctx(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if stored.Header.Get("Event-Type") != "greeting" || stored.Header.Get("Nats-Msg-Id") != "a" || string(stored.Data) != "hi" {
		t.Errorf("stored: %+v", stored)
	}
}

func TestPublish_End_StoresItsHeader(t *testing.T) {
	s := newHarness(t)
	for i, end := range []bool{true, false} {
		msg := feed.Message{Subject: "notifications.user.1", End: end}
		if r := s.publisher().Publish(s.Ctx(), msg)[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
		stored, err := s.Stream().GetMsg(s.Ctx(), uint64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		if got := stored.Header.Get("Tidemark-End"); (got == "1") != end {
			t.Errorf("end %t: stored with Tidemark-End %q", end, got)
		}
	}
}

func TestPublishBatchInOrder(t *testing.T) {
	s := newHarness(t)
	p := s.publisher()
	var publishers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			for range 20 {
				last := uint64(0)
				for _, r := range p.Publish(s.Ctx(), make100()...) {
					if r.Err != nil || r.Ack.Position.Seq <= last || r.Ack.Position.Epoch == "" {
						t.Errorf("%+v after %d", r, last)
						return
					}
					last = r.Ack.Position.Seq
				}
			}
		})
	}
	publishers.Wait()
	if info, err := s.Stream().Info(s.Ctx()); err != nil || info.State.Msgs != 8000 {
		t.Errorf("stored: %+v, %v", info, err)
	}
}

func TestPublishErrors(t *testing.T) {
	s := newHarness(t)
	s.Reset(jetstream.StreamConfig{MaxMsgSize: 1000})
	p := s.publisher()
	ok := feed.Message{Subject: "notifications.a", Data: []byte("x")}
	with := func(change func(*feed.Message)) feed.Message {
		m := ok
		change(&m)
		return m
	}
	results := p.Publish(s.Ctx(),
		with(func(m *feed.Message) { m.Subject = "elsewhere.a" }),
		ok,
		with(func(m *feed.Message) { m.Data = make([]byte, 2000) }),
		with(func(m *feed.Message) { m.Data = make([]byte, 2<<20) }),
		with(func(m *feed.Message) { m.Type = "tidemark.open" }),
		with(func(m *feed.Message) { m.Subject = "notifications.*" }),
		ok,
	)
	for i, want := range []error{feed.ErrSubjectNotStored, nil, feed.ErrTooLarge, feed.ErrTooLarge} {
		if !errors.Is(results[i].Err, want) {
			t.Errorf("message %d: %v, want %v", i, results[i].Err, want)
		}
	}
	for _, i := range []int{4, 5} {
		if _, invalid := errors.AsType[*feed.InvalidError](results[i].Err); !invalid {
			t.Errorf("message %d: %v", i, results[i].Err)
		}
	}
	if results[1].Ack.Position.Seq != 1 || results[6].Ack.Position.Seq != 2 {
		t.Errorf("stored at %v and %v", results[1].Ack.Position, results[6].Ack.Position)
	}
}

func TestPublish_StreamDoesNotTakeMessage_IsNotStored(t *testing.T) {
	s := newHarness(t)
	p := s.publisher()
	for name, c := range map[string]struct {
		cfg  jetstream.StreamConfig
		want error
		says string
	}{
		"messages":    {jetstream.StreamConfig{MaxMsgs: 1, Discard: jetstream.DiscardNew}, feed.ErrFull, "maximum messages"},
		"bytes":       {jetstream.StreamConfig{MaxBytes: 100, Discard: jetstream.DiscardNew}, feed.ErrFull, "maximum bytes"},
		"per subject": {jetstream.StreamConfig{MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true}, feed.ErrFull, "per subject"},
		"counters":    {jetstream.StreamConfig{AllowMsgCounter: true}, feed.ErrRejected, "increment is missing"},
		"sealed":      {jetstream.StreamConfig{}, feed.ErrRejected, "sealed"},
	} {
		s.Reset(c.cfg)
		if name == "sealed" {
			sealed := s.Stream().CachedInfo().Config
			sealed.Sealed = true
			if _, err := s.JS.UpdateStream(s.Ctx(), sealed); err != nil {
				t.Fatal(err)
			}
		}
		results := p.Publish(s.Ctx(), make100()[:3]...)
		err := results[2].Err
		if !errors.Is(err, c.want) || !errors.Is(err, feed.ErrNotStored) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		stored := uint64(0)
		for _, r := range results {
			if r.Err == nil {
				stored++
			}
		}
		if info, err := s.Stream().Info(s.Ctx()); err != nil || info.State.Msgs != stored {
			t.Errorf("%s: %d acknowledged, %+v, %v", name, stored, info, err)
		}
	}
}

func TestPublish_JetStreamNotEnabled_IsNotStored(t *testing.T) {
	for name, change := range map[string]func(*server.Options){
		"for the server": func(*server.Options) {},
		"for the account": func(o *server.Options) {
			o.JetStream = true
			account := server.NewAccount("A")
			o.Accounts = []*server.Account{account}
			o.Users = []*server.User{{Username: "u", Password: "p", Account: account}}
		},
	} {
		srv := natstest.StartServer(t, change)
		p := newPublisher(t, natsconn.Options{URL: srv.ClientURL(), User: "u", Password: "p"}, publish.Options{})
		if err := p.Publish(t.Context(), make100()[0])[0].Err; !errors.Is(err, feed.ErrNotStored) || !errors.Is(err, feed.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPublishUnavailable(t *testing.T) {
	s := newHarness(t)
	p := s.publisher()
	msg := make100()[0]
	s.Server.Stop()
	if err := p.Publish(s.Ctx(), msg)[0].Err; !errors.Is(err, feed.ErrUnavailable) {
		t.Errorf("without NATS: %v", err)
	}
	s.Await("nothing is sent any more", func() bool {
		err := p.Publish(s.Ctx(), msg)[0].Err
		return errors.Is(err, feed.ErrUnavailable) && errors.Is(err, feed.ErrNotStored)
	})
	s.Start()
	if err := s.publishUntilAvailable(p, msg); err != nil {
		t.Errorf("NATS is back: %v", err)
	}
	ctx, cancel := context.WithCancel(s.Ctx())
	cancel()
	if err := p.Publish(ctx, msg)[0].Err; !errors.Is(err, context.Canceled) || !errors.Is(err, feed.ErrNotStored) {
		t.Errorf("cancelled: %v", err)
	}
}

// A recreated stream begins at 1: an acknowledgement below what was seen must not carry the
// epoch that was cached.
func TestPublishEpochOfRecreatedStream(t *testing.T) {
	s := newHarness(t)
	p, err := publish.New(s.Conn, publish.Options{EpochTTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	msg := make100()[0]
	for range 2 {
		p.Publish(s.Ctx(), msg, msg, msg)
		s.Reset(jetstream.StreamConfig{})
		for seq := uint64(1); seq <= 2; seq++ {
			got := p.Publish(s.Ctx(), msg)[0]
			if want := (feed.Position{Seq: seq, Epoch: s.epoch()}); got.Err != nil || got.Ack.Position != want {
				t.Errorf("%+v, want %v", got, want)
			}
		}
	}
}

// A publish whose acknowledgement never comes must not keep a node from ending.
func TestPublisher_Closed_FailsPublishesUnderWay(t *testing.T) {
	s := newHarness(t)
	p, err := publish.New(s.Connect(), publish.Options{AckTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	sent, err := s.Conn.SubscribeSync("silent")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	result := make(chan feed.Result, 1)
	go func() { result <- p.Publish(s.Ctx(), feed.Message{Subject: "silent", Data: []byte("{}")})[0] }()
	if _, err := sent.NextMsgWithContext(s.Ctx()); err != nil {
		t.Fatal(err)
	}
	p.Close()
	p.Close() // again
	if err := (<-result).Err; !errors.Is(err, feed.ErrUnavailable) || errors.Is(err, feed.ErrNotStored) {
		t.Errorf("under way: %v", err)
	}
	if err := p.Publish(s.Ctx(), feed.Message{Subject: "silent"})[0].Err; !errors.Is(err, feed.ErrUnavailable) || !errors.Is(err, feed.ErrNotStored) {
		t.Errorf("after Close: %v", err)
	}
}
