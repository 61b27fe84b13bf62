package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/tidemark/tidemark/internal/admin"
	"github.com/tidemark/tidemark/internal/apidocs"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/httpguard"
	"github.com/tidemark/tidemark/internal/httpserver"
	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/internal/seclog"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/internal/tlsconfig"
	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/pkg/web"
)

// reading are the methods of routes without effects.
var reading = []string{http.MethodGet, http.MethodHead}

// newRouter returns a router whose own errors are problem documents.
func (s *Server) newRouter() *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = s.problemHandler
	return e
}

func (s *Server) recoverPanics() echo.MiddlewareFunc {
	return middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: s.logPanic})
}

// openHTTP makes the HTTP servers of both listeners.
func (s *Server) openHTTP(context.Context) error {
	origins, err := httpguard.NewOrigins(s.opts.HTTP.CORSOrigins, s.opts.Logger.With("component", "security"))
	if err != nil {
		return err
	}
	e := s.newRouter()
	e.Use(s.countRequests, s.recoverPanics(), s.setSecurityHeaders, s.logForeign(origins))
	if len(s.opts.HTTP.CORSOrigins) > 0 {
		e.Use(middleware.CORSWithConfig(middleware.CORSConfig{
			AllowOrigins: s.opts.HTTP.CORSOrigins, AllowCredentials: s.opts.HTTP.CORSCredentials,
			AllowMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost}, AllowHeaders: slices.Concat(httpserver.CORSHeaders, s.opts.HTTP.CORSHeaders),
			ExposeHeaders: []string{"Retry-After"}, MaxAge: 600,
		}))
	}
	api := s.newAdmin()
	if err := s.clientRoutes(e, api, origins); err != nil {
		return err
	}
	s.adminRoutes(e, api)
	for _, route := range e.Routes() {
		s.main.served = append(s.main.served, route.Path)
	}
	if s.opts.HTTP.TLS.Enabled() {
		if s.main.tls, err = tlsconfig.Open(s.opts.HTTP.TLS); err != nil {
			return err
		}
	}
	handler := httpguard.Hosts(s.Addr(), s.opts.HTTP.Hosts, s.refusedHost, underBase(s.opts.HTTP.BasePath, e))
	s.main.http = newHTTPServer(s.opts.HTTP, s.main.tls, handler, s.opts.Logger)
	return s.wrapMain()
}

// clientRoutes adds the routes of clients and publishers.
func (s *Server) clientRoutes(e *echo.Echo, api *admin.API, origins *httpguard.Origins) error {
	s.healthRoutes(e)
	e.Match(reading, "/client.js", echo.WrapHandler(web.Client()))
	e.Match(reading, "/client.d.ts", echo.WrapHandler(web.ClientTypes()))
	s.consoleRoutes(e)
	for i, f := range s.opts.Feeds {
		h := echo.WrapHandler(s.clients.handlers[i])
		for _, path := range f.Paths {
			e.Any(path, h)
		}
	}
	s.identityRoutes(e)
	api.ConnectionRoutes(e)
	if err := s.publishRoutes(e, origins.ProtectPublish); err != nil {
		return err
	}
	return s.docsRoutes(e)
}

// UserSubject and broadcastSubject are the subjects of /api/events/send-message.
const (
	UserSubject      = "notifications.user.{user}"
	broadcastSubject = "notifications.broadcast"
)

var publishPaths = []string{"/publish", "/api/events/send-message"}

// publishBodyPath is the prefix of the paths whose rest is the subject of the event.
const publishBodyPath = "/publish/"

// withSubject sets the path value "subject" of a request, from its path as net/http has decoded it.
func withSubject(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.SetPathValue("subject", strings.TrimPrefix(r.URL.Path, publishBodyPath))
		next.ServeHTTP(w, r)
	})
}

func isPublishPath(path string) bool {
	return slices.Contains(publishPaths, path) || strings.HasPrefix(path, publishBodyPath)
}

func (s *Server) publishRoutes(e *echo.Echo, guard func(http.Handler) http.Handler) error {
	if !s.opts.Publish.Enabled {
		return nil
	}
	user, err := subject.ParseTemplate(UserSubject)
	if err != nil {
		return err
	}
	opts := feedhttp.PublishOptions{
		Publisher: s.telemetry.traces.Publisher(s.backend.Publisher), Identify: s.callers.publisher, Accept: s.backend.Delivery.Check, Templates: s.opts.subjects(), Admission: s.clients.admission,
		MaxBytes: s.opts.Publish.MaxBytes, MaxBatch: s.opts.Publish.MaxBatch, BodyTimeout: s.opts.HTTP.BodyTimeout,
		IdleTimeout: s.opts.Publish.IdleTimeout, DuplicateWindow: s.backend.Publisher.DuplicateWindow,
		QueryParams: []string{auth.TokenParam},
		Refused:     s.refusedRequests(seclog.Publish),
		Logger:      s.opts.Logger.With("component", "publish"),
	}
	e.Any("/publish", echo.WrapHandler(guard(s.telemetry.traces.Handler("/publish", feedhttp.NewPublish(opts)))))
	e.Any(publishBodyPath+"*", echo.WrapHandler(withSubject(guard(s.telemetry.traces.Handler(publishBodyPath+"{subject}", feedhttp.NewPublishBody(opts))))))
	e.Any("/api/events/send-message", echo.WrapHandler(guard(s.telemetry.traces.Handler("/api/events/send-message", feedhttp.NewSendMessage(opts, user, broadcastSubject)))))
	return nil
}

// logForeign returns middleware that logs requests of pages of other origins for events and publishes.
func (s *Server) logForeign(origins *httpguard.Origins) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if s.opts.isFeedPath(c.Path()) || isPublishPath(c.Path()) {
				origins.LogForeign(c.Request())
			}
			return next(c)
		}
	}
}

func (s *Server) healthRoutes(e *echo.Echo) {
	e.Match(reading, "/healthz", echo.WrapHandler(http.HandlerFunc(s.health.Healthz)))
	e.Match(reading, "/readyz", echo.WrapHandler(http.HandlerFunc(s.health.Readyz)))
}

// docsRoutes serves the OpenAPI document of this node, and Swagger UI over it.
func (s *Server) docsRoutes(e *echo.Echo) error {
	if !s.opts.Docs {
		return nil
	}
	opts := apidocs.Options{Version: s.opts.Node.Version, BasePath: s.opts.HTTP.BasePath, IdentityPaths: s.opts.identityPaths(), Publish: s.opts.Publish.Enabled}
	for _, f := range s.opts.Feeds {
		opts.Feeds = append(opts.Feeds, apidocs.Feed{Name: f.Name, Stream: f.Stream, Paths: f.Paths, Subjects: texts(f.Subjects), Allow: texts(f.Allow)})
	}
	handlers, err := apidocs.Handlers(opts)
	for path, h := range handlers {
		e.Match(reading, path, echo.WrapHandler(h))
	}
	return err
}

func (s *Server) logPanic(c echo.Context, err error, stack []byte) error {
	s.opts.Logger.Error("http: handler panicked; request aborted", "path", c.Path(), "error", err, "stack", string(stack))
	return err
}

// problemHandler writes Echo's own errors as problem documents.
func (s *Server) problemHandler(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := problem.Document{Status: http.StatusInternalServerError, Detail: "internal error; see the log of the node"}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		p.Status, p.Detail = he.Code, http.StatusText(he.Code)
		if p.Status == http.StatusNotFound {
			p.Detail = "nothing is served at " + c.Request().URL.Path
			if !s.opts.Publish.Enabled && isPublishPath(c.Request().URL.Path) {
				p.Detail = "publishing over HTTP is off at this node; set publish.keys or auth.jwt.publish_claim, or start it with --dev to try it on this machine"
			}
		}
	}
	problem.Write(c.Response(), p)
}

// eventPath returns the path that the banner and the page name.
func (o *Options) eventPath() string {
	for _, f := range o.Feeds {
		if slices.Contains(f.Paths, "/events") {
			return "/events"
		}
	}
	if len(o.Feeds) > 0 && len(o.Feeds[0].Paths) > 0 {
		return o.Feeds[0].Paths[0]
	}
	return "/"
}

// refuseAll answers every request with 403.
func refuseAll(detail string) echo.MiddlewareFunc {
	return func(echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			problem.Write(c.Response(), problem.Document{Status: http.StatusForbidden, Detail: detail})
			return nil
		}
	}
}

func texts(templates []subject.Template) []string {
	out := make([]string, len(templates))
	for i, t := range templates {
		out[i] = t.String()
	}
	return out
}
