package server

import (
	"context"
	"net/netip"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/filelimit"
	"github.com/tidemark/tidemark/internal/seclog"
	"github.com/tidemark/tidemark/pkg/auth"
)

// clients are the parts of a node for connections.
type clients struct {
	engine    *engine.Engine // nil if off
	admission *feedhttp.Admission
	handlers  []*feedhttp.Subscribe // in the order of Options.Feeds
}

func (s *Server) startEngine(context.Context) (err error) {
	if !s.opts.HTTP.EngineOff {
		if s.clients.engine, err = engine.New(); err != nil {
			return err
		}
		s.life.OnStop(s.clients.engine.Close)
	}
	s.openSockets()
	s.clients.admission = feedhttp.NewAdmission(connectionLimits(s.opts.Limits), s.opts.HTTP.TrustedProxies...)
	return nil
}

// openFeeds makes the handler of each feed, and their drainer.
func (s *Server) openFeeds(context.Context) error {
	for _, f := range s.opts.Feeds {
		s.clients.handlers = append(s.clients.handlers, s.newSubscribe(f))
	}
	s.drain = &drainer{
		handlers: s.clients.handlers, admission: s.clients.admission, logger: s.opts.Logger,
		delay: s.opts.HTTP.DrainDelay, period: s.opts.SSE.DrainPeriod,
	}
	return nil
}

func (s *Server) newSubscribe(f FeedOptions) *feedhttp.Subscribe {
	return feedhttp.NewSubscribe(feedhttp.SubscribeOptions{
		Feed: s.backend.Feeds[f.Stream], Stream: f.Stream, Engine: s.clients.engine, Admission: s.clients.admission,
		Selection:       feedhttp.Selection{Defaults: f.Subjects, Allow: f.Allow, Identify: s.opts.howToIdentify()},
		ReplayFromStore: f.ReplayFromStore, Name: f.Name, Observer: s.observer(), Replayed: s.telemetry.traces.Replayed(), Refused: s.refusedRequests(seclog.Login),
		Identify: s.callers.reader, Check: s.callers.revoked.Check, Tag: s.tag,
		Retry: s.opts.SSE.Retry, RetryLater: s.opts.SSE.RetryLater, Heartbeat: s.opts.SSE.Heartbeat, WriteTimeout: s.opts.SSE.WriteTimeout,
		MaxAge: s.opts.SSE.MaxAge, MaxIdle: s.opts.SSE.MaxIdle,
		Logger: s.opts.Logger.With("feed", f.Name),
	})
}

// openSockets makes the limits of the sockets of clients.
func (s *Server) openSockets() {
	limits := s.opts.Sockets
	if limits.All == 0 {
		limits.All = filelimit.Sockets(filelimit.Current())
	}
	if limits.PerAddress == 0 {
		limits.PerAddress = filelimit.PerAddress(limits.All, filelimit.ManySockets)
	}
	trusted := s.opts.HTTP.TrustedProxies
	s.main.sockets = engine.NewSockets(engine.SocketOptions{
		Max: limits.All, MaxPerAddress: limits.PerAddress,
		Exempt: func(addr netip.Addr) bool { return auth.TrustsAddr(trusted, addr) },
		Logger: s.opts.Logger.With("component", "http"),
	})
}

// connectionLimits returns the limits with defaults computed from the limit of open files.
func connectionLimits(limits feedhttp.Limits) feedhttp.Limits {
	if limits.Connections == 0 {
		limits.Connections = filelimit.Streams(filelimit.Current())
	}
	if limits.PerAddress == 0 {
		limits.PerAddress = filelimit.PerAddress(limits.Connections, filelimit.ManyStreams)
	}
	return limits
}
