package delivery_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/delivery"
	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/subject"
)

func templates(t testing.TB, texts ...string) (all []subject.Template) {
	t.Helper()
	for _, text := range texts {
		tmpl, err := subject.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tmpl)
	}
	return all
}

// refusal returns the error of Check, or nil.
func refusal(t testing.TB, r *delivery.Rules, subject string) *delivery.Error {
	t.Helper()
	err := r.Check(t.Context(), subject)
	refused, ok := errors.AsType[*delivery.Error](err)
	if err != nil && !ok {
		t.Fatalf("%s: %v", subject, err)
	}
	return refused
}

func noLookup(context.Context, string) (jetstream.StreamConfig, error) {
	return jetstream.StreamConfig{}, errors.New("no server")
}

func rules(t testing.TB, all bool, texts ...string) *delivery.Rules {
	return delivery.New(delivery.Options{
		Templates: map[string][]subject.Template{"N": templates(t, texts...)}, AllSubjects: all,
		Definitions: []jetstream.StreamConfig{{Name: "N", Subjects: []string{"n.>"}}, {Name: "OTHER", Subjects: []string{"o.>"}}}, Lookup: noLookup,
	})
}

func TestCheck_Subject_MatchesAFeed(t *testing.T) {
	r := rules(t, false, "n.all", "n.user.{user}", "n.city.*", "n.topic.>")
	stored := r.Stored("N")
	for subject, want := range map[string]bool{
		"n.all": true, "n.user.42": true, "n.user.a%2Eb@c": true, "n.city.x": true, "n.topic.a.b": true,
		"n.user.a.b": false, "n.user": false, "n.other": false, "n.user.a%2eb": false, "n.city.x.y": false, "o.x": false, "x": false,
	} {
		refused := refusal(t, r, subject)
		if (refused == nil) != want || stored(subject) != want {
			t.Errorf("%s: %v, stored %v", subject, refused, stored(subject))
		}
		if refused != nil && (!strings.Contains(refused.Error(), "n.user.{user}") || !strings.Contains(refused.Error(), "a feed's subjects or allow") ||
			strings.Contains(refused.Error(), "publish.subjects: stream") != strings.HasPrefix(subject, "n.")) {
			t.Errorf("%s: %v", subject, refused)
		}
	}
	none := delivery.New(delivery.Options{Lookup: noLookup})
	if refused := refusal(t, none, "n.x"); refused != nil {
		t.Errorf("without feeds: %v", refused)
	}
	all := rules(t, true, "n.all")
	for subject, want := range map[string]bool{"n.all": true, "n.other.x": true, "o.x": false, "n": false} {
		if refused := refusal(t, all, subject); (refused == nil) != want {
			t.Errorf("all subjects, %s: %v", subject, refused)
		}
	}
}

func TestCheck_ValueWithDots_SuggestsTheEncoding(t *testing.T) {
	r := rules(t, false, "n.all", "n.user.{user}", "n.room.{room}.{user}", "n.topic.>")
	for subject, want := range map[string]string{
		"n.user.alice.b@example.com": "n.user.alice%2Eb@example%2Ecom",
		"n.user.first.last":          "n.user.first%2Elast",
		"n.room.1.first.last":        "n.room.1.first%2Elast",
		"n.user.a%2Eb.c":             "", // it is not known which part is encoded
		"n.users.a.b":                "",
		"n.all.x":                    "",
	} {
		refused := refusal(t, r, subject)
		if refused == nil || refused.Suggestion != want || want != "" && !strings.Contains(refused.Error(), want) {
			t.Errorf("%s: %v; want the suggestion %q", subject, refused, want)
		}
	}
}

// startNATS runs a server with the given streams, and returns a client.
func startNATS(t *testing.T, streams ...jetstream.StreamConfig) jetstream.JetStream {
	t.Helper()
	srv, err := natsd.Start(t.Context(), natsd.Options{Addr: "127.0.0.1:0", Dir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range streams {
		if _, err := js.CreateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	return js
}

func lookup(js jetstream.JetStream) func(context.Context, string) (jetstream.StreamConfig, error) {
	return func(ctx context.Context, name string) (jetstream.StreamConfig, error) {
		s, err := js.Stream(ctx, name)
		if err != nil {
			return jetstream.StreamConfig{}, err
		}
		return s.CachedInfo().Config, nil
	}
}

func transform(from, to string) jetstream.SubjectTransformConfig {
	return jetstream.SubjectTransformConfig{Source: from, Destination: to}
}

// The stored subject according to Check is compared with the subject stored by nats-server.
func TestCheck_Transforms_AsTheServerAppliesThem(t *testing.T) {
	own := transform("orders.*", "n.user.{{wildcard(1)}}")
	down := transform(">", "copy.>")
	js := startNATS(t,
		jetstream.StreamConfig{Name: "PLAIN", Subjects: []string{"plain.>"}},
		jetstream.StreamConfig{Name: "OWN", Subjects: []string{"orders.>", "n.>"}, SubjectTransform: &own},
		jetstream.StreamConfig{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: "PLAIN", SubjectTransforms: []jetstream.SubjectTransformConfig{transform("plain.a.*", "m.{{wildcard(1)}}"), transform("plain.b", "rest.b")}}},
		jetstream.StreamConfig{Name: "SOURCED", Subjects: []string{"s.>"}, SubjectTransform: &down, Sources: []*jetstream.StreamSource{
			{Name: "PLAIN", FilterSubject: "plain.a.>"}, {Name: "OWN", SubjectTransforms: []jetstream.SubjectTransformConfig{transform("n.user.*", "u.{{wildcard(1)}}")}},
		}},
	)
	for _, c := range []struct {
		stream, publish string
		stored          string // empty for a message that the stream does not store
	}{
		{"PLAIN", "plain.a", "plain.a"},
		{"OWN", "orders.7", "n.user.7"},
		{"OWN", "orders.7.x", "orders.7.x"},
		{"OWN", "n.user.8", "n.user.8"},
		{"MIRROR", "plain.a.x", "m.x"},
		{"MIRROR", "plain.b", "rest.b"},
		{"SOURCED", "s.1", "copy.s.1"},
		{"SOURCED", "plain.a.b", "copy.plain.a.b"},
		{"SOURCED", "n.user.9", "copy.u.9"},
		{"SOURCED", "plain.z", ""},
	} {
		ack, err := js.Publish(t.Context(), c.publish, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.stored != "" {
			awaitStored(t, js, c.stream, c.stored)
		}
		accepts := func(text string) *delivery.Error {
			r := delivery.New(delivery.Options{Templates: map[string][]subject.Template{c.stream: templates(t, text)}, Lookup: lookup(js)})
			r.Refresh(t.Context())
			return refusal(t, r, c.publish)
		}
		if c.stored == "" {
			if accepts(c.publish) == nil {
				t.Errorf("%s to %s is accepted (stored in %s)", c.publish, c.stream, ack.Stream)
			}
			continue
		}
		if refused := accepts(c.stored); refused != nil {
			t.Errorf("%s to %s: %v", c.publish, c.stream, refused)
		}
		refused := accepts("elsewhere.x")
		if refused == nil || refused.Stored != c.stored || c.stored != c.publish && !strings.Contains(refused.Error(), c.stored) {
			t.Errorf("%s to %s: %v; want that it is stored as %s", c.publish, c.stream, refused, c.stored)
		}
	}
}

func awaitStored(t *testing.T, js jetstream.JetStream, stream, subject string) {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := s.GetLastMsgForSubject(t.Context(), subject); err == nil {
			return
		} else if !errors.Is(err, jetstream.ErrMsgNotFound) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// A changed stream is looked up before a subject is rejected, but not at every rejection.
func TestCheck_StreamChanged_LooksUpBeforeRefusing(t *testing.T) {
	config := jetstream.StreamConfig{Name: "N", Subjects: []string{"n.>"}}
	js := startNATS(t, config)
	lookups := 0
	find := lookup(js)
	opts := delivery.Options{
		Templates: map[string][]subject.Template{"N": templates(t, "n.user.{user}")}, LookupEvery: time.Nanosecond,
		Lookup: func(ctx context.Context, name string) (jetstream.StreamConfig, error) {
			lookups++
			return find(ctx, name)
		},
	}
	r := delivery.New(opts)
	if refused := refusal(t, r, "whatever"); refused != nil {
		t.Errorf("nothing is known of the stream: %v", refused)
	}
	r.Refresh(t.Context())
	if refusal(t, r, "o.42") == nil || lookups != 2 {
		t.Errorf("o.42 is accepted, or not looked up (%d lookups)", lookups)
	}
	config.Subjects, config.SubjectTransform = []string{"n.>", "o.*"}, &jetstream.SubjectTransformConfig{Source: "o.*", Destination: "n.user.{{wildcard(1)}}"}
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if refused := refusal(t, r, "o.42"); refused != nil {
		t.Errorf("after the change: %v", refused)
	}
	opts.LookupEvery = time.Hour
	seldom := delivery.New(opts)
	seldom.Refresh(t.Context())
	lookups = 0
	for range 10 {
		if refusal(t, seldom, "n.x") == nil {
			t.Error("n.x is accepted")
		}
	}
	if lookups != 0 {
		t.Errorf("%d lookups within the hour", lookups)
	}
	if _, err := js.Stream(t.Context(), "N"); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "N"); err != nil {
		t.Fatal(err)
	}
	if refused := refusal(t, r, "o.43"); refused != nil {
		t.Errorf("a stream that is gone is judged by what was known: %v", refused)
	}
}

func BenchmarkStored(b *testing.B) {
	stored := rules(b, false, "n.all", "n.user.{user}", "n.city.*", "n.topic.>").Stored("N")
	for _, subject := range []string{"n.user.42", "n.other.42"} {
		b.Run(subject, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				stored(subject)
			}
		})
	}
}
