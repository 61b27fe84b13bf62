package jetstore_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/testkit"
)

// The events of such a stream must stay for its own consumers.
func TestFollow_StreamDeletesReceivedEvents_IsRefusedWithoutConsumer(t *testing.T) {
	for _, r := range []jetstream.RetentionPolicy{jetstream.InterestPolicy, jetstream.WorkQueuePolicy} {
		t.Run(r.String(), func(t *testing.T) {
			s := newHarness(t)
			s.Reset(jetstream.StreamConfig{Retention: r})
			stream, err := s.JS.Stream(s.Ctx(), "NOTIFICATIONS")
			if err != nil {
				t.Fatal(err)
			}
			own := jetstream.ConsumerConfig{Durable: "own", AckPolicy: jetstream.AckExplicitPolicy}
			if _, err := stream.CreateConsumer(s.Ctx(), own); err != nil {
				t.Fatal(err)
			}
			s.PublishMany(3, "notifications.a")
			l := s.open(jetstore.Options{})
			ctx, cancel := context.WithCancel(s.Ctx())
			defer cancel()
			var contact error
			for ev, err := range l.Follow(ctx, feed.FollowOptions{From: 1, Contact: func(err error) { contact = err; cancel() }}) {
				t.Errorf("the stream is followed: %+v, %v", ev, err)
			}
			for _, want := range []string{"stream NOTIFICATIONS", "retention", strings.ToLower(r.String()), "retention limits"} {
				if contact == nil || !strings.Contains(contact.Error(), want) {
					t.Errorf("contact: %v, want %q", contact, want)
				}
			}
			if left := s.Consumers(""); len(left) != 1 {
				t.Errorf("consumers: %v", left)
			}
			if info, err := stream.Info(s.Ctx()); err != nil || info.State.Msgs != 3 {
				t.Errorf("the stream holds %+v, %v", info, err)
			}
		})
	}
}

func TestFollow_StreamWithSchedules_IsExplained(t *testing.T) {
	s := newHarness(t)
	s.Reset(jetstream.StreamConfig{AllowMsgSchedules: true})
	s.PublishMany(1, "notifications.a")
	log := new(testkit.Log)
	l := s.open(jetstore.Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	ctx, cancel := context.WithCancel(s.Ctx())
	defer cancel()
	for range l.Follow(ctx, feed.FollowOptions{From: 1}) {
		cancel()
	}
	if text := log.String(); !strings.Contains(text, "stream=NOTIFICATIONS") || strings.Count(text, "field=allow_msg_schedules") != 1 {
		t.Errorf("log: %s", text)
	}
}
