package publish_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/natstest"
	"github.com/tidemark/tidemark/internal/publish"
)

// routedPublisher publishes by the routes of a list, and counts calls of Misrouted.
func (s *harness) routedPublisher(misrouted *int, routes ...feed.Route) *publish.Publisher {
	s.T.Helper()
	p, err := publish.New(s.Connect(), publish.Options{
		Routes:    func(context.Context, string) []feed.Route { return routes },
		Misrouted: func() { *misrouted++ },
	})
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(p.Close)
	return p
}

func TestPublisher_ForeignStreamCapturesSubject_IsNotStored(t *testing.T) {
	s := newHarness(t)
	foreign := s.OtherStream(jetstream.StreamConfig{Name: "FOREIGN", Subjects: []string{"orders.>"}})
	misrouted := 0
	p := s.routedPublisher(&misrouted, feed.Route{Stream: natstest.StreamName, Reader: natstest.StreamName})
	res := p.Publish(s.Ctx(), feed.Message{Subject: "orders.1", Data: []byte("x")}, feed.Message{Subject: "notifications.a", Data: []byte("x")})
	if err := res[0].Err; !errors.Is(err, feed.ErrRejected) || !errors.Is(err, feed.ErrNotStored) || !strings.Contains(err.Error(), "no feed reads") {
		t.Errorf("orders.1: %v", err)
	}
	if res[1].Err != nil || res[1].Ack.Stream != natstest.StreamName {
		t.Errorf("notifications.a: %+v", res[1])
	}
	if info, err := foreign.Info(s.Ctx()); err != nil || info.State.Msgs > 0 || misrouted != 1 {
		t.Errorf("the foreign stream has %+v, %v; misrouted %d times", info.State, err, misrouted)
	}
}

func TestPublisher_RoutesThroughSeveralStreams_EitherStores(t *testing.T) {
	s := newHarness(t)
	s.OtherStream(jetstream.StreamConfig{Name: "A", Subjects: []string{"a"}})
	s.OtherStream(jetstream.StreamConfig{Name: "B", Subjects: []string{"b"}})
	misrouted := 0
	p := s.routedPublisher(&misrouted, feed.Route{Stream: "A", Reader: "ALL", Sourced: true}, feed.Route{Stream: "B", Reader: "ALL", Sourced: true})
	for i, res := range p.Publish(s.Ctx(), feed.Message{Subject: "a"}, feed.Message{Subject: "b"}) {
		if want := []string{"A", "B"}[i]; res.Err != nil || res.Ack.Stream != want || !res.Ack.Sourced || res.Ack.Position.Seq != 1 {
			t.Errorf("%+v, want it in %s", res, want)
		}
	}
}

// Clients of a mirror have its epoch, and the sequences of its origin.
func TestPublisher_MirrorIsRead_PositionHasItsEpoch(t *testing.T) {
	s := newHarness(t)
	mirror := s.OtherStream(jetstream.StreamConfig{
		Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: natstest.StreamName}, Metadata: map[string]string{"tidemark.epoch": "mirrored"},
	})
	misrouted := 0
	p := s.routedPublisher(&misrouted, feed.Route{Stream: natstest.StreamName, Reader: "SOURCING", Sourced: true}, feed.Route{Stream: natstest.StreamName, Reader: mirror.CachedInfo().Config.Name})
	res := p.Publish(s.Ctx(), feed.Message{Subject: "notifications.a"})[0]
	if want := (feed.Ack{Stream: natstest.StreamName, Position: feed.Position{Seq: 1, Epoch: "mirrored"}}); res.Err != nil || res.Ack != want {
		t.Errorf("%+v, want %+v", res, want)
	}
}

func TestPublisher_HeaderAndTTL_AreStored(t *testing.T) {
	s := newHarness(t)
	p := s.publisher()
	msg := feed.Message{Subject: "notifications.a", Data: []byte("x"), TTL: 90 * time.Second, Header: map[string]string{"ce-source": "/a b", "Content-Type": "text/csv"}}
	if err := p.Publish(s.Ctx(), msg)[0].Err; !errors.Is(err, feed.ErrRejected) || !strings.Contains(err.Error(), "allow_msg_ttl") {
		t.Errorf("to a stream without lifetimes: %v", err)
	}
	s.Reset(jetstream.StreamConfig{AllowMsgTTL: true})
	if err := p.Publish(s.Ctx(), msg)[0].Err; err != nil {
		t.Fatal(err)
	}
	stored, err := s.Stream().GetMsg(s.Ctx(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"ce-source": "/a b", "Content-Type": "text/csv", "Nats-TTL": "1m30s"} {
		if got := stored.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name, wrong := range map[string]feed.Message{
		"of NATS":       {Header: map[string]string{"nats-Rollup": "all"}},
		"of Tidemark":   {Header: map[string]string{"event-type": "x"}},
		"with lines":    {Header: map[string]string{"X": "a\r\nNats-Rollup: all"}},
		"name of lines": {Header: map[string]string{"X:\r\nNats-Rollup": "all"}},
		"without name":  {Header: map[string]string{"": "x"}},
		"part of a TTL": {TTL: 1500 * time.Millisecond},
		"negative TTL":  {TTL: -time.Second},
	} {
		wrong.Subject = "notifications.a"
		if err := p.Publish(s.Ctx(), wrong)[0].Err; !errors.Is(err, feed.ErrNotStored) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
