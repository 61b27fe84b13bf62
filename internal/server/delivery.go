package server

import (
	"slices"

	"github.com/tidemark/tidemark/internal/backend"
	"github.com/tidemark/tidemark/internal/subject"
)

// openBackend opens the streams that feeds name, each once.
func (s *Server) openBackend() error {
	var streams []backend.Stream
	for _, f := range s.opts.Feeds {
		templates := slices.Concat(f.Subjects, f.Allow)
		if i := slices.IndexFunc(streams, func(other backend.Stream) bool { return other.Name == f.Stream }); i >= 0 {
			streams[i].Templates = append(streams[i].Templates, templates...)
			continue
		}
		streams = append(streams, backend.Stream{
			Name: f.Stream, Option: "feeds." + f.Name + ".stream", Templates: templates, Trace: s.traces.Events(f.Stream),
		})
	}
	b, err := backend.Open(backend.Options{
		Main: s.nats, Tails: s.tails, Replays: s.replays, Domain: s.opts.Domain, APIPrefix: s.opts.APIPrefix,
		Streams: streams, Definitions: s.opts.Streams, Expected: s.kept.expected,
		AllSubjects: s.opts.Publish.AllSubjects, Widened: s.tokensWiden(),
		WindowEvents: s.opts.Window.Events, WindowBytes: s.opts.Window.Bytes, ReplayBytes: s.opts.ReplayBytes,
		Logger: s.opts.Logger,
	})
	if err != nil {
		return err
	}
	s.onClose(b.Close)
	s.js, s.delivery, s.publish, s.budget, s.logs, s.feeds = b.JetStream, b.Delivery, b.Publisher, b.Budget, b.Logs, b.Feeds
	return nil
}

// tokensWiden reports whether tokens may grant subjects beyond those of the feeds: every subject
// of a stream can be delivered then.
func (s *Server) tokensWiden() bool {
	return slices.Contains(s.opts.Auth.Identity, "jwt") && s.opts.Auth.JWT.WidenClaim != ""
}

// subjects are the templates of what connections get, of all feeds.
func (s *Server) subjects() (all []subject.Template) {
	for _, f := range s.opts.Feeds {
		all = append(all, f.Subjects...)
	}
	return all
}
