package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/metrics"
	"github.com/tidemark/tidemark/internal/seclog"
	"github.com/tidemark/tidemark/internal/tracing"
)

// telemetry are the metrics, traces and security events of a node.
type telemetry struct {
	metrics  *metrics.Metrics
	traces   *tracing.Traces // nil if off
	security *seclog.Log     // of refused requests and of actions of operators
}

// openTelemetry comes first, so that parts can still end spans when they are released.
func (s *Server) openTelemetry(context.Context) (err error) {
	s.telemetry.security = seclog.New(s.opts.Logger.With("component", "security"))
	s.life.OnStop(s.telemetry.security.Close)
	opts := s.opts.Traces
	if opts.Endpoint == "" {
		return nil
	}
	if s.telemetry.traces, err = tracing.New(tracing.Options{
		Endpoint: opts.Endpoint, Sample: opts.Sample, Rate: opts.Rate,
		Node: s.opts.Node.Name, Version: s.opts.Node.Version, Logger: s.opts.Logger.With("component", "traces"),
	}); err != nil {
		return fmt.Errorf("traces.endpoint: %w", err)
	}
	s.life.OnStop(s.telemetry.traces.Close)
	return nil
}

// openMetrics comes after all parts that the metrics read.
func (s *Server) openMetrics(context.Context) error {
	node := metrics.Node{
		Publisher: s.backend.Publisher, Admission: s.clients.admission, Sockets: s.main.sockets, Engine: s.clients.engine, NATS: s.natsConns(), Replays: s.backend.Budget, Version: cmp.Or(s.opts.Node.Version, "unknown"),
		Draining: s.drain.draining, Revocations: s.revocationStatus, Recreations: s.streams.Recreations,
	}
	if s.nats.embedded != nil {
		node.Store = s.nats.embedded.Err
	}
	if s.callers.headers != nil {
		node.Untrusted = s.callers.headers.Ignored
	}
	if s.telemetry.traces != nil {
		node.Traces = s.telemetry.traces.Status
	}
	for _, name := range slices.Sorted(maps.Keys(s.backend.Feeds)) {
		node.Streams = append(node.Streams, metrics.Stream{
			Name: name, Feed: s.backend.Feeds[name], Log: s.backend.Logs[name],
			WindowEvents: s.backend.Feeds[name].Options().WindowEvents, WindowBytes: s.backend.Feeds[name].Options().WindowBytes,
		})
	}
	for i, f := range s.opts.Feeds {
		node.Feeds = append(node.Feeds, metrics.Feed{Name: f.Name, Handler: s.clients.handlers[i]})
	}
	s.telemetry.metrics = metrics.New(node)
	return nil
}

// countRequests is the outermost middleware, so that it counts the answers of all others.
func (s *Server) countRequests(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() { s.telemetry.metrics.Answered(c.Path(), answered(c, err)) }() // a connection ends by a panic
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
