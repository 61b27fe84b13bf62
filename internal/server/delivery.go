package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/delivery"
	"github.com/tidemark/tidemark/internal/feed"
)

// lookupTimeout bounds the lookup of one stream, for which a publisher may wait.
const lookupTimeout = 2 * time.Second

func (s *Server) openDelivery() {
	templates := make(map[string][]feed.Template)
	for _, f := range s.opts.Feeds {
		templates[f.Stream] = slices.Concat(templates[f.Stream], f.Subjects, f.Allow)
	}
	s.delivery = delivery.New(delivery.Options{
		Templates: templates, AllSubjects: s.opts.Publish.AllSubjects || s.tokensWiden(),
		Definitions: s.opts.Streams, Lookup: s.lookUpStream,
	})
}

// tokensWiden reports whether tokens may grant subjects beyond those of the feeds: every subject
// of a stream can be delivered then.
func (s *Server) tokensWiden() bool {
	return slices.Contains(s.opts.Auth.Identity, "jwt") && s.opts.Auth.JWT.WidenClaim != ""
}

// deliverable is for feed.Options; nil where every subject is.
func (s *Server) deliverable(stream string) func(string) bool {
	if s.tokensWiden() {
		return nil
	}
	return s.delivery.Stored(stream)
}

func (s *Server) lookUpStream(ctx context.Context, name string) (jetstream.StreamConfig, error) {
	if !s.nats.IsConnected() {
		return jetstream.StreamConfig{}, errors.New("no connection to NATS")
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	stream, err := s.js.Stream(ctx, name)
	if err != nil {
		return jetstream.StreamConfig{}, err
	}
	return stream.CachedInfo().Config, nil
}

// subjects are the templates of what connections get, of all feeds.
func (s *Server) subjects() (all []feed.Template) {
	for _, f := range s.opts.Feeds {
		all = append(all, f.Subjects...)
	}
	return all
}
