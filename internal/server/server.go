package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/tidemark/tidemark/internal/backend"
	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/health"
	"github.com/tidemark/tidemark/internal/lifecycle"
	"github.com/tidemark/tidemark/internal/presence"
	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/internal/streamkeeper"
	"github.com/tidemark/tidemark/internal/tlsconfig"
)

// Server is one Tidemark node.
type Server struct {
	opts  Options
	life  *lifecycle.Group // everything that New acquires and Run starts
	main  *listener        // for clients
	admin *listener        // for operators; nil if not configured

	nats    natsLinks
	backend *backend.Backend
	streams *streamkeeper.Keeper

	callers     callers
	revocations *revocation.Follower
	presence    *presence.Presence // nil when off

	clients   clients
	drain     *drainer
	health    *health.Reporter
	telemetry telemetry
}

// New builds a node and binds its addresses. It blocks until an embedded NATS server is ready, and does not wait
// for a remote one. Call Run, which also releases everything.
func New(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{opts: opts.withDefaults(), life: lifecycle.New(context.WithoutCancel(ctx))}
	if err := s.build(ctx); err != nil {
		_ = s.life.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) build(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.checkDefinitions, s.nameNode, s.openTelemetry, s.bind, s.bindAdmin, s.startEngine, s.openCallers, s.openRevocations, s.startNATS, s.connectNATS,
		s.openBackend, s.openPresence, s.openFeeds, s.openHealth, s.openMetrics, s.openHTTP, s.subscribeRevocations,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Addr returns the bound HTTP address.
func (s *Server) Addr() net.Addr { return s.main.Addr() }

// AdminAddr returns the bound address of Options.Admin. It is nil without an admin listener.
func (s *Server) AdminAddr() net.Addr {
	if s.admin == nil {
		return nil
	}
	return s.admin.Addr()
}

// Run serves until ctx ends or a listener fails, and returns after everything has stopped. It returns nil when ctx
// has ended it.
func (s *Server) Run(ctx context.Context) error {
	s.logServing()
	s.start()
	select {
	case <-ctx.Done():
	case <-s.life.Failed():
	}
	failed := s.life.Err()
	s.shutdown(failed != nil)
	_ = s.life.Stop()
	s.opts.Logger.Info("stopped")
	return failed
}

// start starts the goroutines of the node. They end with s.life rather than with the context of Run, because
// connections are closed before their feed stops.
func (s *Server) start() {
	background := func(run func(context.Context)) {
		s.life.Go(func(ctx context.Context) error {
			run(ctx)
			return nil
		})
	}
	s.life.Serve(s.main.serve, s.main.stop)
	if s.admin != nil {
		s.life.Serve(s.admin.serve, s.admin.stop) // until the end, so that operators can watch the drain
	}
	background(func(ctx context.Context) {
		s.streams.Run(ctx, s.backend.JetStream, s.backend.Feeds, s.backend.Delivery.Refresh)
	})
	background(func(ctx context.Context) { s.revocations.Run(ctx, s.nats.main, s.backend.JetStream) })
	background(s.checkFeeds)
	background(s.returnMemory)
	if s.presence != nil {
		background(s.presence.Run)
	}
	if s.opts.Node.Micro {
		background(s.announce)
	}
	for _, f := range s.backend.Feeds {
		background(func(ctx context.Context) { _ = f.Run(ctx) }) // it restarts its tail, and returns when ctx ends
	}
}

// shutdown drains the node, then waits for the remaining requests. After the failure of a listener it skips the
// delay for load balancers, which cannot reach the node any more.
func (s *Server) shutdown(failed bool) {
	timeout := s.opts.HTTP.ShutdownTimeout
	s.drain.stop(failed, timeout)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	ingests := time.AfterFunc(timeout/2, s.clients.admission.StopIngests) // so that their answers can still be sent
	defer ingests.Stop()
	if err := s.main.http.Shutdown(ctx); err != nil {
		s.opts.Logger.Warn("drain: requests have not ended in time; disconnecting them", "error", err)
	}
}

// listener is a bound address, and its HTTP server.
type listener struct {
	net.Listener
	key     string // configuration key
	http    *http.Server
	tls     *tlsconfig.TLS // nil without TLS
	sockets *engine.Sockets
	served  []string // paths
}

// bindAddr binds an address, which s.life closes.
func (s *Server) bindAddr(key, addr string) (*listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w; stop the program there or choose another address", key, addr, err)
	}
	bound := &listener{Listener: l, key: key}
	s.life.OnStop(func() { _ = bound.Close() }) // the listener may have a wrapper by then
	return bound, nil
}

// serve blocks until stop, and then returns nil.
func (l *listener) serve() error {
	err := l.http.Serve(l.Listener) // which does the TLS handshakes
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", l.key, err)
}

func (l *listener) stop() { _ = l.http.Close() }
