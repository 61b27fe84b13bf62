package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/httpserver"
	"github.com/tidemark/tidemark/internal/seclog"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/pkg/web"
)

// reading are the methods of what is only looked at.
var reading = []string{http.MethodGet, http.MethodHead}

func (s *Server) routes(context.Context) (err error) {
	e := echo.New()
	e.HTTPErrorHandler = s.problemHandler
	e.Use(s.countRequests, middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: s.logPanic}), s.secure, s.logForeignOrigins)
	if len(s.opts.HTTP.CORSOrigins) > 0 {
		e.Use(middleware.CORSWithConfig(middleware.CORSConfig{
			AllowOrigins: s.opts.HTTP.CORSOrigins, AllowCredentials: s.opts.HTTP.CORSCredentials,
			AllowMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost}, AllowHeaders: slices.Concat(httpserver.CORSHeaders, s.opts.HTTP.CORSHeaders),
			ExposeHeaders: []string{"Retry-After"}, MaxAge: 600,
		}))
	}
	e.Match(reading, "/healthz", s.healthz)
	e.Match(reading, "/readyz", s.readyz)
	e.Match(reading, "/client.js", echo.WrapHandler(web.Client()))
	e.Match(reading, "/client.d.ts", echo.WrapHandler(web.ClientTypes()))
	s.consoleRoutes(e)
	for _, f := range s.opts.Feeds {
		h := echo.WrapHandler(s.subscribe(f))
		for _, path := range f.Paths {
			e.Any(path, h)
		}
	}
	s.identityRoutes(e)
	s.connectionRoutes(e)
	if err := s.publishRoutes(e); err != nil {
		return err
	}
	if err := s.docsRoutes(e); err != nil {
		return err
	}
	s.openMetrics()
	s.adminRoutes(e)
	for _, route := range e.Routes() {
		s.served = append(s.served, route.Path)
	}
	if s.certificate, err = openCertificate(s.opts.HTTP); err != nil {
		return err
	}
	handler := s.guardHosts(s.listener, underBase(s.opts.HTTP.BasePath, e))
	s.http = newHTTPServer(s.opts.HTTP, s.certificate, handler, s.opts.Logger)
	return s.front()
}

func (s *Server) subscribe(f FeedOptions) http.Handler {
	h := feedhttp.NewSubscribe(feedhttp.SubscribeOptions{
		Feed: s.feeds[f.Stream], Stream: f.Stream, Engine: s.engine, Admission: s.admit,
		Selection:     feedhttp.Selection{Defaults: f.Subjects, Allow: f.Allow, Identify: s.howToIdentify()},
		ReplayFromLog: f.ReplayFromLog, Name: f.Name, Observer: s.observer(), Replayed: s.traces.Replayed(), Refused: s.refusedRequests(seclog.Login),
		Identify: s.reader, Check: s.revoked.Check, Tag: s.tag,
		Retry: s.opts.SSE.Retry, RetryLater: s.opts.SSE.RetryLater, Heartbeat: s.opts.SSE.Heartbeat, WriteTimeout: s.opts.SSE.WriteTimeout,
		MaxAge: s.opts.SSE.MaxAge, MaxIdle: s.opts.SSE.MaxIdle,
		Logger: s.opts.Logger.With("feed", f.Name),
	})
	s.streams = append(s.streams, h)
	return h
}

// UserSubject and broadcastSubject are where /api/events/send-message publishes.
const (
	UserSubject      = "notifications.user.{user}"
	broadcastSubject = "notifications.broadcast"
)

var publishPaths = []string{"/publish", "/api/events/send-message"}

// publishBodyPath begins the paths of events whose subject is in the path.
const publishBodyPath = "/publish/"

// withSubject gives a request the path value "subject", from its path as net/http has decoded it.
func withSubject(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.SetPathValue("subject", strings.TrimPrefix(r.URL.Path, publishBodyPath))
		next.ServeHTTP(w, r)
	})
}

func isPublishPath(path string) bool {
	return slices.Contains(publishPaths, path) || strings.HasPrefix(path, publishBodyPath)
}

func (s *Server) publishRoutes(e *echo.Echo) error {
	if !s.opts.Publish.Enabled {
		return nil
	}
	user, err := subject.ParseTemplate(UserSubject)
	if err != nil {
		return err
	}
	opts := feedhttp.PublishOptions{
		Publisher: s.traces.Publisher(s.publish), Identify: s.publisher, Accept: s.delivery.Check, Templates: s.subjects(), Admission: s.admit,
		MaxBytes: s.opts.Publish.MaxBytes, MaxBatch: s.opts.Publish.MaxBatch, BodyTimeout: s.opts.HTTP.BodyTimeout,
		Refused: s.refusedRequests(seclog.Publish),
		Logger:  s.opts.Logger.With("part", "publish"),
	}
	guard, err := s.crossOrigin()
	if err != nil {
		return err
	}
	e.Any("/publish", echo.WrapHandler(guard(s.traces.Handler("/publish", feedhttp.NewPublish(opts)))))
	e.Any(publishBodyPath+"*", echo.WrapHandler(withSubject(guard(s.traces.Handler(publishBodyPath+"{subject}", feedhttp.NewPublishBody(opts))))))
	e.Any("/api/events/send-message", echo.WrapHandler(guard(s.traces.Handler("/api/events/send-message", feedhttp.NewSendMessage(opts, user, broadcastSubject)))))
	return nil
}

// crossOrigin refuses posts from pages of other origins, but for those that CORS names.
func (s *Server) crossOrigin() (func(http.Handler) http.Handler, error) {
	guard := http.NewCrossOriginProtection()
	for _, origin := range s.opts.HTTP.CORSOrigins {
		if origin == "*" { // lets others read, which is no word on writing
			continue
		}
		if err := guard.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		feedhttp.WriteProblem(w, feedhttp.Problem{Status: http.StatusForbidden,
			Detail: "pages of another origin may not publish here; name the origin in http.cors.origins to allow it"})
	}))
	return guard.Handler, nil
}

func (s *Server) logPanic(c echo.Context, err error, stack []byte) error {
	s.opts.Logger.Error("panic", "path", c.Path(), "error", err, "stack", string(stack))
	return err
}

// problemHandler gives Echo's own errors the form of all others.
func (s *Server) problemHandler(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := feedhttp.Problem{Status: http.StatusInternalServerError, Detail: "an error that the log tells more about"}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		p.Status, p.Detail = he.Code, http.StatusText(he.Code)
		if p.Status == http.StatusNotFound {
			p.Detail = "nothing is served at " + c.Request().URL.Path
			if !s.opts.Publish.Enabled && isPublishPath(c.Request().URL.Path) {
				p.Detail = "publishing over HTTP is off at this node; set publish.keys or auth.jwt.publish_claim, or start it with --dev to try it on this machine"
			}
		}
	}
	feedhttp.WriteProblem(c.Response(), p)
}

// eventPath is the path that the hints and the page name.
func (s *Server) eventPath() string {
	for _, f := range s.opts.Feeds {
		if slices.Contains(f.Paths, "/events") {
			return "/events"
		}
	}
	if len(s.opts.Feeds) > 0 && len(s.opts.Feeds[0].Paths) > 0 {
		return s.opts.Feeds[0].Paths[0]
	}
	return "/"
}
