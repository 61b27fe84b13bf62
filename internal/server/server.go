package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/delivery"
	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/metrics"
	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/presence"
	"github.com/tidemark/tidemark/internal/seclog"
	"github.com/tidemark/tidemark/internal/tracing"
	"github.com/tidemark/tidemark/pkg/auth"
)

// Server is one Tidemark node.
type Server struct {
	opts        Options
	listener    net.Listener
	http        *http.Server
	certificate *certificate   // nil without TLS
	engine      *engine.Engine // writes the streams
	admit       *feedhttp.Admission
	sockets     *engine.Sockets // of http.addr

	tokens      *auth.JWTSource // nil without
	headers     *auth.HeaderSource
	reader      auth.Source
	publisher   auth.Source   // nil where everybody may publish
	keys        *auth.APIKeys // nil without
	watcher     auth.Source   // of requests to list connections
	revoked     auth.Revocations
	revocations revocations
	tags        auth.Tagger
	embedded    *natsd.Server // nil with a NATS server of its own
	nats        *nats.Conn
	tails       *nats.Conn         // of the tails, and requests about their streams
	replays     *nats.Conn         // of what replays read
	budget      *feed.ReplayBudget // of all feeds together
	js          jetstream.JetStream
	publish     *jetstore.Publisher
	feeds       map[string]*feed.Feed // by stream
	delivery    *delivery.Rules
	logs        map[string]*jetstore.Store
	streams     []*feedhttp.Subscribe // by their place among Options.Feeds
	metrics     *metrics.Metrics
	presence    *presence.Presence // nil without
	readers     chan struct{}      // of presence, as many as fit
	announced   announcement
	traces      *tracing.Traces // nil without
	security    *seclog.Log
	origins     originHint

	adminListener net.Listener // nil without an address of its own
	admin         *http.Server
	adminSockets  *engine.Sockets

	provisioned atomic.Pointer[string] // why the streams are not there yet; nil when they are
	kept        keptStreams
	draining    atomic.Bool
	drain       drainState
	started     time.Time
	served      []string // paths, of http.addr
	operator    auth.Source
	cleanup     []func() // run last to first
}

// New builds a node and binds its addresses. It blocks until an embedded NATS server is
// ready; a remote one is not waited for. Call Run, which also cleans up.
func New(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{opts: opts.withDefaults(), started: time.Now(), feeds: map[string]*feed.Feed{}, logs: map[string]*jetstore.Store{}, readers: make(chan struct{}, maxReaders)}
	s.kept = newKeptStreams(s.opts.Streams)
	s.announced = announcement{denied: make(chan error, 1), end: make(chan struct{}), ended: make(chan struct{})}
	s.opts.NATS.Denied = func(err error) bool { return s.microDenied(err) || s.revocations.state.denied(err) }
	waiting := "the streams were not looked at yet"
	s.provisioned.Store(&waiting)
	s.openSecurityLog()
	if err := s.build(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Server) build(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.checkDefinitions, s.nameNode, s.openTraces, s.bind, s.bindAdmin, s.startEngine, s.startNATS, s.connect, s.openPresence, s.openIdentity, s.openRevocations, s.routes,
		s.subscribeRevocations, s.announce,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) bind(context.Context) (err error) {
	if s.listener, err = listen(s.opts.HTTP); err != nil {
		return err
	}
	s.onClose(func() { _ = s.listener.Close() })
	return nil
}

func (s *Server) startEngine(context.Context) (err error) {
	if s.engine, err = engine.New(); err != nil {
		return err
	}
	s.onClose(s.engine.Close)
	s.openSockets()
	s.admit = feedhttp.NewAdmission(streamLimits(s.opts.Limits), s.opts.HTTP.TrustedProxies...)
	return nil
}

func (s *Server) connect(ctx context.Context) error {
	if err := s.connectNATS(ctx); err != nil {
		return err
	}
	return s.openBackend()
}

// openTraces comes first, so that what ends before it may end spans.
func (s *Server) openTraces(context.Context) (err error) {
	opts := s.opts.Traces
	if opts.Endpoint == "" {
		return nil
	}
	if s.traces, err = tracing.New(tracing.Options{
		Endpoint: opts.Endpoint, Sample: opts.Sample, Rate: opts.Rate,
		Node: s.opts.Node.Name, Version: s.opts.Node.Version, Logger: s.opts.Logger.With("part", "traces"),
	}); err != nil {
		return fmt.Errorf("traces.endpoint: %w", err)
	}
	s.onClose(s.traces.Close)
	return nil
}

// Addr is the bound HTTP address.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends or a part fails, and returns once everything has stopped. It
// returns nil when it was ctx that ended it.
func (s *Server) Run(ctx context.Context) error {
	s.logServing()
	var parts sync.WaitGroup
	// The feeds outlive ctx: clients are told to come back before their feed stops.
	inner, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	failed := make(chan error, 2)
	parts.Go(func() {
		if err := serveHTTP(s.http, s.listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve HTTP: %w", err)
		}
	})
	parts.Go(func() {
		if err := s.serveAdmin(); err != nil {
			failed <- err
		}
	})
	parts.Go(func() { s.provision(inner) })
	parts.Go(func() { s.checkFeeds(inner) })
	parts.Go(func() { s.returnMemory(inner) })
	parts.Go(func() { s.followRevocations(inner) })
	if s.presence != nil {
		parts.Go(func() { s.presence.Run(inner) })
	}
	for _, f := range s.feeds {
		parts.Go(func() { _ = f.Run(inner) }) // it restarts its tail, and returns when inner ends
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.shutdown(err != nil)
	stop(errors.New("the server is stopping"))
	s.stopAdmin()
	parts.Wait()
	s.close()
	s.opts.Logger.Info("stopped")
	return err
}

// shutdown drains the node, then ends the requests that are left. Where a listener has failed,
// load balancers do not reach the node any more, and are not waited for.
func (s *Server) shutdown(failed bool) {
	period, timeout := s.opts.SSE.DrainPeriod, s.opts.HTTP.ShutdownTimeout
	s.stopServing(failed, period, timeout)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.opts.Logger.Warn("some requests did not end in time", "error", err)
		_ = s.http.Close()
	}
}

func (s *Server) onClose(f func()) { s.cleanup = append(s.cleanup, f) }

func (s *Server) close() {
	for len(s.cleanup) > 0 {
		last := len(s.cleanup) - 1
		s.cleanup[last]()
		s.cleanup = s.cleanup[:last]
	}
}
