package server

import (
	"context"
	"slices"

	"github.com/tidemark/tidemark/internal/backend"
	"github.com/tidemark/tidemark/internal/streamkeeper"
	"github.com/tidemark/tidemark/internal/subject"
)

// openBackend opens each stream of the feeds once.
func (s *Server) openBackend(context.Context) error {
	s.streams = streamkeeper.New(streamkeeper.Options{Definitions: s.opts.Streams, Apply: s.opts.ApplyStreams, Logger: s.opts.Logger})
	var opened []backend.Stream
	for _, f := range s.opts.Feeds {
		templates := slices.Concat(f.Subjects, f.Allow)
		if i := slices.IndexFunc(opened, func(other backend.Stream) bool { return other.Name == f.Stream }); i >= 0 {
			opened[i].Templates = append(opened[i].Templates, templates...)
			continue
		}
		opened = append(opened, backend.Stream{
			Name: f.Stream, Option: "feeds." + f.Name + ".stream", Templates: templates, Trace: s.telemetry.traces.Events(f.Stream),
		})
	}
	b, err := backend.Open(backend.Options{
		Main: s.nats.main, Tails: s.nats.tails, Replays: s.nats.replays, Domain: s.opts.Domain, APIPrefix: s.opts.APIPrefix,
		Streams: opened, Definitions: s.opts.Streams, Expected: s.streams.Expected,
		AllSubjects: s.opts.Publish.AllSubjects, Widened: s.opts.tokensWiden(),
		WindowEvents: s.opts.Window.Events, WindowBytes: s.opts.Window.Bytes, ReplayBytes: s.opts.ReplayBytes,
		Logger: s.opts.Logger,
	})
	if err != nil {
		return err
	}
	s.life.OnStop(b.Close)
	s.backend = b
	return nil
}

// tokensWiden reports whether tokens may grant subjects beyond those of the feeds. Then every subject of a stream
// can be delivered.
func (o *Options) tokensWiden() bool {
	return slices.Contains(o.Auth.Identity, "jwt") && o.Auth.JWT.WidenClaim != ""
}

// subjects returns the templates of all connections, of all feeds.
func (o *Options) subjects() (all []subject.Template) {
	for _, f := range o.Feeds {
		all = append(all, f.Subjects...)
	}
	return all
}
