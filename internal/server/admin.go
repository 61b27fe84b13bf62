package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/admin"
	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/httpguard"
	"github.com/tidemark/tidemark/internal/httpserver"
	"github.com/tidemark/tidemark/internal/logging"
	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/pkg/auth"
)

// adminSockets is the limit of sockets at AdminOptions.Addr. They are part of the reserve of open files.
const adminSockets = 64

// bindAdmin binds AdminOptions.Addr, if it is set.
func (s *Server) bindAdmin(context.Context) (err error) {
	addr := s.opts.Admin.Addr
	if addr == "" {
		return nil
	}
	if s.admin, err = s.listenAdmin(addr); err != nil && s.opts.Admin.Optional {
		s.opts.Logger.Warn("admin: cannot listen; /metrics is served only with --dev, at http.addr", "addr", addr, "error", err, "remedy", "set admin.addr to a free address, or to off")
		return nil
	}
	return err
}

// listenAdmin refuses the port of the main listener, also when that listens on all addresses. Where the system
// lets both share the port, requests of clients on this machine would reach the admin listener.
func (s *Server) listenAdmin(addr string) (*listener, error) {
	main, ok := s.Addr().(*net.TCPAddr)
	if _, port, err := net.SplitHostPort(addr); ok && err == nil && main.IP.IsUnspecified() && port == strconv.Itoa(main.Port) {
		return nil, fmt.Errorf("admin.addr: cannot listen on %s: http.addr has the port; choose another address", addr)
	}
	l, err := s.bindAddr("admin.addr", addr)
	if err != nil {
		return nil, err
	}
	l.sockets = engine.NewSockets(engine.SocketOptions{Max: adminSockets, Name: "admin.addr", Logger: s.opts.Logger.With("component", "admin")})
	return l, nil
}

// newAdmin returns the handlers of the admin API and of GET /connections.
func (s *Server) newAdmin() *admin.API {
	opts := admin.Options{
		Health: s.health, Drain: s.drain, LogLevel: s.opts.LogLevel,
		Revoke: func(ctx context.Context, rev auth.Revocation) error {
			return revocation.Store(ctx, s.backend.JetStream, rev)
		},
		PresenceReaders: s.callers.presence, Operators: s.callers.operators,
		Security: s.telemetry.security, Logger: s.opts.Logger,
	}
	if s.presence != nil {
		opts.Presence = s.presence
	}
	for i, f := range s.opts.Feeds {
		opts.Feeds = append(opts.Feeds, admin.Feed{
			Name: f.Name, Stream: f.Stream, Paths: f.Paths, Subjects: texts(f.Subjects), Allow: texts(f.Allow),
			Handler: s.clients.handlers[i], Events: s.backend.Feeds[f.Stream],
		})
	}
	return admin.New(opts)
}

// adminRoutes makes the HTTP server of the admin listener. Without that listener, /metrics is served at the main
// listener where Options.Dev states that no proxy is in front, to programs of this machine.
func (s *Server) adminRoutes(main *echo.Echo, api *admin.API) {
	scrape := echo.WrapHandler(s.telemetry.metrics.Handler(s.opts.Logger.With("component", "metrics")))
	if s.admin == nil {
		access := admin.LoopbackOnly("/metrics is for this machine itself, as localhost; set admin.addr to serve it to others")
		if !s.opts.Dev {
			access = refuseAll("/metrics is served at admin.addr, and this node has none; set it")
		}
		main.Match(reading, "/metrics", scrape, access)
		return
	}
	e := s.newRouter()
	e.Use(s.recoverPanics(), s.setSecurityHeaders)
	e.Match(reading, "/metrics", scrape)
	s.healthRoutes(e)
	api.Routes(e)
	s.admin.http = &http.Server{
		Handler: httpguard.Hosts(s.AdminAddr(), s.opts.HTTP.Hosts, s.refusedHost, e), ErrorLog: logging.HTTPErrors(s.opts.Logger.With("component", "admin")),
		ReadHeaderTimeout: s.opts.HTTP.HeadTimeout, ReadTimeout: s.opts.HTTP.BodyTimeout, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: httpserver.MaxHead, ConnState: s.admin.sockets.ConnState,
	}
	s.admin.Listener = s.admin.sockets.Listen(s.admin.Listener, 0)
}
