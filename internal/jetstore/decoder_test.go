package jetstore_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

// The tail passes on sampled traces of publishers; replays do not.
func TestFollow_SampledTrace_IsPassedOn(t *testing.T) {
	const sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	s := newHarness(t)
	results := s.publisher().Publish(s.Ctx(),
		feed.Message{Subject: "notifications.a", Trace: feed.TraceContext{Parent: sampled, State: "a=b"}},
		feed.Message{Subject: "notifications.a"})
	for _, r := range results {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	for _, header := range []nats.Header{
		{"Traceparent": {sampled}, "Tracestate": {"c=d"}}, // as HTTP has it
		{"traceparent": {strings.TrimSuffix(sampled, "1") + "0"}},
		{"traceparent": {"00-short-01"}},
		{"other": {"x"}},
	} {
		s.Publish("notifications.a", []byte("x"), header)
	}
	var told []jetstore.Traced
	l := s.open(jetstore.Options{Trace: func(ev jetstore.Traced) *feed.Trace {
		told = append(told, ev)
		return &feed.Trace{}
	}})
	for ev, err := range l.Follow(s.Ctx(), feed.FollowOptions{From: 1, Epoch: s.epoch(l)}) {
		if err != nil {
			t.Fatal(err)
		}
		if (ev.Trace != nil) != (ev.Seq == 1 || ev.Seq == 3) {
			t.Errorf("%d: %v", ev.Seq, ev.Trace)
		}
		if ev.Seq == 6 {
			break
		}
	}
	if len(told) != 2 || told[0].Seq != 1 || told[0].Parent != sampled || told[0].State != "a=b" || told[0].Stored.IsZero() || told[1].State != "c=d" {
		t.Fatalf("%+v", told)
	}
	if n := replay(t, l, s.Ctx(), feed.ReadOptions{From: 1, To: 6}); n != 6 || len(told) != 2 {
		t.Errorf("%d events of a replay, %d traces", n, len(told))
	}
}
