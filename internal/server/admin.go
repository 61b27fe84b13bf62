package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/httpserver"
	"github.com/tidemark/tidemark/internal/metrics"
	"github.com/tidemark/tidemark/pkg/auth"
)

// bindAdmin binds the address of those who operate the node, where there is one.
func (s *Server) bindAdmin(context.Context) error {
	addr := s.opts.Admin.Addr
	if addr == "" {
		return nil
	}
	l, err := s.listenAdmin(addr)
	switch {
	case err != nil && s.opts.Admin.Optional:
		s.opts.Logger.Warn("no listener for operators: set admin.addr to a free address, or to off; /metrics is not served, or with --dev at http.addr", "addr", addr, "error", err)
		return nil
	case err != nil:
		return fmt.Errorf("admin.addr: cannot listen on %s: %w; stop what listens there or choose another address", addr, err)
	}
	s.adminListener = l
	s.onClose(func() { _ = s.adminListener.Close() })
	return nil
}

// listenAdmin does not share a port with clients who connect on all addresses: where the system lets
// it, this machine's own would come to the operators' listener.
func (s *Server) listenAdmin(addr string) (net.Listener, error) {
	main, ok := s.listener.Addr().(*net.TCPAddr)
	if _, port, err := net.SplitHostPort(addr); ok && err == nil && main.IP.IsUnspecified() && port == strconv.Itoa(main.Port) {
		return nil, errors.New("http.addr has the port")
	}
	return net.Listen("tcp", addr)
}

// AdminAddr is the bound address of Options.Admin; nil without one.
func (s *Server) AdminAddr() net.Addr {
	if s.adminListener == nil {
		return nil
	}
	return s.adminListener.Addr()
}

// adminRoutes are what operators ask. Without a listener of their own, /metrics is served with
// the feeds where Options.Dev says that no proxy is in front, to this machine alone.
func (s *Server) adminRoutes(main *echo.Echo) {
	scrape := echo.WrapHandler(s.metrics.Handler(s.opts.Logger.With("part", "metrics")))
	if s.adminListener == nil {
		here := fromHere("/metrics is for this machine itself, as localhost; set admin.addr to serve it to others")
		if !s.opts.Dev {
			here = nobody("/metrics is served at admin.addr, and this node has none; set it")
		}
		main.Match(reading, "/metrics", scrape, here)
		return
	}
	e := echo.New()
	e.HTTPErrorHandler = s.problemHandler
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: s.logPanic}), s.secure)
	e.Match(reading, "/metrics", scrape)
	e.Match(reading, "/healthz", s.healthz)
	e.Match(reading, "/readyz", s.readyz)
	s.operatorRoutes(e.Group("/admin", s.operatorsOnly))
	s.pprofRoutes(e.Group("/debug/pprof", fromHere("profiles are for this machine itself, as localhost: forward the port"), sameOrigin, boundedProfile))
	s.admin = &http.Server{
		Handler: s.guardHosts(s.adminListener, e), ErrorLog: errorLog(s.opts.Logger.With("part", "admin")),
		ReadHeaderTimeout: s.opts.HTTP.HeadTimeout, ReadTimeout: s.opts.HTTP.BodyTimeout, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: httpserver.MaxHead, ConnState: s.adminSockets.ConnState,
	}
}

// pprofRoutes serve what net/http/pprof has. Its own routes are those of a global mux, which is
// served nowhere here.
func (s *Server) pprofRoutes(g *echo.Group) {
	g.GET("/cmdline", echo.WrapHandler(http.HandlerFunc(pprof.Cmdline)))
	g.GET("/profile", echo.WrapHandler(http.HandlerFunc(pprof.Profile)))
	g.Any("/symbol", echo.WrapHandler(http.HandlerFunc(pprof.Symbol)))
	g.GET("/trace", echo.WrapHandler(http.HandlerFunc(pprof.Trace)))
	g.GET("/*", echo.WrapHandler(http.HandlerFunc(pprof.Index)))
}

// fromHere refuses who is not on this machine: not a page whose name was rebound to it, and
// nobody behind a proxy that says so.
func fromHere(why string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if auth.FromLoopback(c.Request()) {
				return next(c)
			}
			feedhttp.WriteProblem(c.Response(), feedhttp.Problem{Status: http.StatusForbidden, Detail: why})
			return nil
		}
	}
}

// nobody refuses every request.
func nobody(why string) echo.MiddlewareFunc {
	return func(echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			return refuse(c, &auth.Error{Status: http.StatusForbidden, Detail: why})
		}
	}
}

// serveAdmin blocks until stopAdmin.
func (s *Server) serveAdmin() error {
	if s.admin == nil {
		return nil
	}
	if err := s.admin.Serve(s.adminSockets.Listen(s.adminListener, 0)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve admin.addr: %w", err)
	}
	return nil
}

// stopAdmin comes last, so that a node can be watched while it drains. Who is in the middle of
// a profile is cut off.
func (s *Server) stopAdmin() {
	if s.admin != nil {
		_ = s.admin.Close()
	}
}

// openMetrics comes once all that is shown is there.
func (s *Server) openMetrics() {
	node := metrics.Node{
		Publisher: s.publish, Admission: s.admit, Sockets: s.sockets, NATS: s.natsConns(), Replays: s.budget, Version: cmp.Or(s.opts.Node.Version, "unknown"),
		Draining: s.draining.Load, Revocations: s.revocationStatus, Recreations: s.kept.recreations,
	}
	if s.embedded != nil {
		node.Store = s.embedded.Err
	}
	if s.headers != nil {
		node.Untrusted = s.headers.Ignored
	}
	if s.traces != nil {
		node.Traces = s.traces.Status
	}
	for _, name := range slices.Sorted(maps.Keys(s.feeds)) {
		node.Streams = append(node.Streams, metrics.Stream{
			Name: name, Feed: s.feeds[name], Log: s.logs[name],
			WindowEvents: s.feeds[name].Options().WindowEvents, WindowBytes: s.feeds[name].Options().WindowBytes,
		})
	}
	for i, f := range s.opts.Feeds {
		node.Feeds = append(node.Feeds, metrics.Feed{Name: f.Name, Handler: s.streams[i]})
	}
	s.metrics = metrics.New(node)
}

// countRequests lies outside of all other middleware, and so sees what they answer.
func (s *Server) countRequests(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() { s.metrics.Answered(c.Path(), answered(c, err)) }() // a stream ends by a panic
		return next(c)
	}
}

func answered(c echo.Context, err error) int {
	if he, ok := errors.AsType[*echo.HTTPError](err); ok && !c.Response().Committed {
		return he.Code
	}
	if err != nil && !c.Response().Committed {
		return http.StatusInternalServerError
	}
	return c.Response().Status
}
