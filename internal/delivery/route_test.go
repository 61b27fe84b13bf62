package delivery_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/delivery"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/subject"
)

// The route of a subject is compared with the stream in which nats-server stores it.
func TestRoutes_Stream_IsTheOneThatStores(t *testing.T) {
	js := startNATS(t,
		jetstream.StreamConfig{Name: "PLAIN", Subjects: []string{"plain.>"}},
		jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"other.>"}},
		jetstream.StreamConfig{Name: "MIRROR", Mirror: &jetstream.StreamSource{Name: "PLAIN"}},
		jetstream.StreamConfig{Name: "SECOND", Mirror: &jetstream.StreamSource{Name: "MIRROR"}},
		jetstream.StreamConfig{Name: "SOURCED", Subjects: []string{"own.>"}, Sources: []*jetstream.StreamSource{{Name: "PLAIN", FilterSubject: "plain.a.>"}, {Name: "OTHER", FilterSubject: "other.>"}}},
		jetstream.StreamConfig{Name: "ALL", Sources: []*jetstream.StreamSource{{Name: "PLAIN"}, {Name: "OTHER"}}},
		jetstream.StreamConfig{Name: "FAR", Sources: []*jetstream.StreamSource{{Name: "X", External: &jetstream.ExternalStream{APIPrefix: "$JS.far.API"}}, {Name: "Y", External: &jetstream.ExternalStream{APIPrefix: "$JS.far.API"}}}},
		jetstream.StreamConfig{Name: "CHAIN", Sources: []*jetstream.StreamSource{{Name: "ALL"}}},
	)
	for _, c := range []struct {
		reader, subject string
		want            []feed.Route
	}{
		{"PLAIN", "plain.a", []feed.Route{{Stream: "PLAIN", Reader: "PLAIN"}}},
		{"PLAIN", "other.a", nil},
		{"MIRROR", "plain.a", []feed.Route{{Stream: "PLAIN", Reader: "MIRROR"}}},
		{"SECOND", "plain.a", []feed.Route{{Stream: "PLAIN", Reader: "SECOND"}}},
		{"SOURCED", "own.a", []feed.Route{{Stream: "SOURCED", Reader: "SOURCED"}}},
		{"SOURCED", "plain.a.b", []feed.Route{{Stream: "PLAIN", Reader: "SOURCED", Sourced: true}}},
		{"SOURCED", "other.a", []feed.Route{{Stream: "OTHER", Reader: "SOURCED", Sourced: true}}},
		{"SOURCED", "plain.b", nil},
		{"ALL", "other.a", []feed.Route{{Stream: "OTHER", Reader: "ALL", Sourced: true}}},
		{"ALL", "own.a", nil},
		{"FAR", "plain.a", []feed.Route{{Stream: "X", Reader: "FAR", Sourced: true}, {Stream: "Y", Reader: "FAR", Sourced: true}}},
		{"CHAIN", "other.a", []feed.Route{{Stream: "", Reader: "CHAIN", Sourced: true}}},
	} {
		r := delivery.New(delivery.Options{Templates: map[string][]subject.Template{c.reader: templates(t, "plain.>", "other.>", "own.>")}, Lookup: lookup(js)})
		r.Refresh(t.Context())
		routes := r.Routes(t.Context(), c.subject)
		if !slices.Equal(routes, c.want) {
			t.Errorf("%s read from %s: %+v, want %+v", c.subject, c.reader, routes, c.want)
		}
		if len(c.want) != 1 || c.want[0].Stream == "" {
			continue
		}
		if ack, err := js.Publish(t.Context(), c.subject, nil, jetstream.WithExpectStream(routes[0].Stream)); err != nil || ack.Stream != routes[0].Stream {
			t.Errorf("%s read from %s: %+v, %v", c.subject, c.reader, ack, err)
		}
	}
}

// A missing or changed stream is looked up.
func TestRoutes_StreamUnknownOrOutdated_LooksUp(t *testing.T) {
	config, lookups := jetstream.StreamConfig{Name: "N"}, 0
	missing := errors.New("no such stream")
	err := missing
	r := delivery.New(delivery.Options{
		Templates: map[string][]subject.Template{"N": templates(t, "n.>")}, LookupEvery: time.Nanosecond,
		Lookup: func(_ context.Context, name string) (jetstream.StreamConfig, error) {
			if lookups++; name != "N" {
				return jetstream.StreamConfig{}, missing
			}
			return config, err
		},
	})
	expect := func(what string, want ...feed.Route) {
		t.Helper()
		if got := r.Routes(t.Context(), "n.1"); !slices.Equal(got, want) {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	expect("missing", feed.Route{Stream: "N", Reader: "N"})
	config.Subjects, err = []string{"n.>"}, nil
	expect("created", feed.Route{Stream: "N", Reader: "N"})
	lookups = 0
	expect("known", feed.Route{Stream: "N", Reader: "N"})
	config = jetstream.StreamConfig{Name: "N", Mirror: &jetstream.StreamSource{Name: "ORIGIN"}}
	expect("replaced without notice", feed.Route{Stream: "N", Reader: "N"})
	if lookups > 0 {
		t.Errorf("%d lookups for a stream that is known", lookups)
	}
	r.Outdated()
	expect("outdated", feed.Route{Stream: "ORIGIN", Reader: "N"})
}
