package jetstore_test

import (
	"reflect"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

// The tail and replays have the attributes of CloudEvents alike.
func TestCloudEvent_BinaryMode_AttributesAreKept(t *testing.T) {
	s := newHarness(t)
	l := s.open(jetstore.Options{})
	all := []struct {
		header nats.Header
		want   *feed.CloudEvent
	}{
		{nil, nil},
		{nats.Header{"Event-Type": {"a"}, "X-Ce-Id": {"1"}, "CE-ID": {"2"}}, nil},
		{nats.Header{"ce-id": {"7"}, "ce-source": {"/s"}, "ce-time": {"2026-01-31T12:00:00Z"}, "ce-subject": {"x"}, "ce-dataschema": {"https://s.example"}, "ce-specversion": {"1.0"}, "ce-type": {"t"}},
			&feed.CloudEvent{ID: "7", Source: "/s", Time: "2026-01-31T12:00:00Z", Subject: "x", Schema: "https://s.example"}},
		{nats.Header{"ce-b": {"2"}, "ce-a": {"1"}, "ce-": {"x"}, "ce-B": {"x"}, "ce-a_b": {"x"}, "ce-data": {"x"}, "ce-originid": {"x"}, "ce-empty": {""}},
			&feed.CloudEvent{Extensions: []feed.Attribute{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}}},
	}
	for _, c := range all {
		s.Publish("notifications.a", []byte("x"), c.header)
	}
	r, err := l.Read(s.Ctx(), feed.ReadOptions{From: 1, To: uint64(len(all))})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	batch, err := r.Next(s.Ctx())
	if err != nil || len(batch.Events) != len(all) {
		t.Fatalf("%d events: %v", len(batch.Events), err)
	}
	for i, ev := range batch.Events {
		if !reflect.DeepEqual(ev.CloudEvent, all[i].want) {
			t.Errorf("a replay of %v: %+v, want %+v", all[i].header, ev.CloudEvent, all[i].want)
		}
	}
	i := 0
	for ev, err := range l.Follow(s.Ctx(), feed.FollowOptions{From: 1, Epoch: batch.State.Epoch}) {
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(ev.CloudEvent, all[i].want) {
			t.Errorf("the tail with %v: %+v, want %+v", all[i].header, ev.CloudEvent, all[i].want)
		}
		if i++; i == len(all) {
			break
		}
	}
}
