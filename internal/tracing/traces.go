// Package tracing exports OpenTelemetry spans of publishes, deliveries and replays over OTLP.
//
// Use it in a node with a trace collector. A nil [Traces] disables tracing at no cost.
//
//	t, err := tracing.New(tracing.Options{Endpoint: "http://127.0.0.1:4318/v1/traces", Sample: 0.01})
//	...
//	defer t.Close()
//	mux.Handle("/publish", t.Handler("/publish", publish))
//
// Spans:
//
//   - A publish over HTTP has a span, with a child span for storing its events.
//   - Stored events contain the trace context. Each node continues it with a span "tail", from the time at
//     which the event was stored, and a span "deliver" for the delivery to all clients of the node.
//   - A replay has one span. Connections have none.
//
// Guarantees: tracing never blocks a publish or a delivery. The number of traces per second, the number of
// unsent spans and the duration of Close are limited. Spans beyond the limits are dropped and counted.
package tracing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// Options configures Traces. Endpoint is required.
type Options struct {
	// Endpoint is the URL of a collector for OTLP over HTTP, including its path, such as
	// http://127.0.0.1:4318/v1/traces.
	Endpoint string
	// Sample is the share, 0 to 1, of publishes over HTTP and of replays to trace. It does not apply to
	// requests with a traceparent, whose flag decides.
	Sample float64
	// Rate limits the traces begun or continued per second, including those sampled by the caller; 100 if
	// zero. Each has at most two spans. The burst is one second's worth.
	Rate int
	// Wait limits the duration of a delivery's span while clients do not accept the event; 5 s if zero.
	Wait time.Duration
	// Flush limits the wait of Close for the collector; 3 s if zero.
	Flush time.Duration

	Node, Version string       // of this process
	Logger        *slog.Logger // receives at most one message per minute about a failing collector; nil discards
}

func (o Options) withDefaults() Options {
	o.Version = cmp.Or(o.Version, "unknown")
	o.Rate = cmp.Or(max(o.Rate, 0), 100)
	o.Wait = cmp.Or(max(o.Wait, 0), 5*time.Second)
	o.Flush = cmp.Or(max(o.Flush, 0), 3*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Traces creates spans. A nil Traces creates none, at no cost.
type Traces struct {
	opts     Options
	limit    *rate.Limiter
	limited  atomic.Uint64
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	exporter *exporter
	waiting  *spanQueue
	open     *openDeliveries
}

// Limits of the batches. They override the environment variables OTEL_BSP_*.
const (
	maxWaiting    = 2048
	maxBatch      = 512
	batchPause    = 2 * time.Second
	exportTimeout = 10 * time.Second // including retries
)

// New returns Traces for a collector. The caller must call Close.
//
// New does not connect: exports to a collector that is down are retried. It sets no global variables of
// OpenTelemetry, because a process may contain several nodes.
func New(opts Options) (*Traces, error) {
	if err := checkEndpoint(opts.Endpoint); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	described, err := newResource(opts)
	if err != nil {
		opts.Logger.Warn("tracing: resource attributes are invalid; sending traces without them", "variable", "OTEL_RESOURCE_ATTRIBUTES", "error", err)
	}
	transport := &http.Transport{ // not shared, so that Close can close its idle connections
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		DialContext: (&net.Dialer{Timeout: exportTimeout}).DialContext, TLSHandshakeTimeout: exportTimeout, IdleConnTimeout: time.Minute,
	}
	client, err := otlptrace.New(context.Background(), otlptracehttp.NewClient(
		otlptracehttp.WithEndpointURL(opts.Endpoint),
		otlptracehttp.WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: noRedirects}),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: exportTimeout}),
	))
	if err != nil {
		return nil, err
	}
	t := &Traces{opts: opts, limit: rate.NewLimiter(rate.Limit(opts.Rate), opts.Rate)}
	t.exporter = newExporter(client, transport.CloseIdleConnections, opts)
	t.waiting = &spanQueue{SpanProcessor: sdktrace.NewBatchSpanProcessor(t.exporter,
		sdktrace.WithMaxQueueSize(maxWaiting), sdktrace.WithMaxExportBatchSize(maxBatch),
		sdktrace.WithBatchTimeout(batchPause), sdktrace.WithExportTimeout(exportTimeout))}
	t.exporter.onDone = t.waiting.left
	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(t.waiting), sdktrace.WithSampler(t.sampler()),
		sdktrace.WithResource(described),
	)
	t.tracer = t.provider.Tracer("github.com/tidemark/tidemark")
	t.open = newOpen(opts.Wait)
	return t, nil
}

// noRedirects makes sure that spans are sent to the configured endpoint only.
func noRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// checkEndpoint rejects URLs that the exporter would change silently.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return errors.New("is not a URL; write one such as http://127.0.0.1:4318/v1/traces")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path == "" || u.Path == "/":
		return fmt.Errorf("%q is not the URL of a collector with its path; write one such as http://127.0.0.1:4318/v1/traces", u.Redacted())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("a user, a query or a fragment is not sent; set a header with credentials in OTEL_EXPORTER_OTLP_HEADERS")
	}
	return nil
}

// Close ends open spans and sends the remaining ones, for at most Options.Flush. It returns after all
// goroutines have ended. Spans that end later are dropped.
func (t *Traces) Close() {
	t.open.close()
	t.exporter.endBy(t.opts.Flush)
	_ = t.provider.Shutdown(context.Background()) // limited by the exporter, which reports failures
	t.exporter.close()
}

// Status contains counts of spans and traces.
type Status struct {
	Sent, Failed, Dropped uint64 // spans: accepted by the collector, not accepted, not queued
	Limited               uint64 // traces not recorded because of Options.Rate
}

// Status returns the current counts. It may be called at any time.
func (t *Traces) Status() Status {
	return Status{
		Sent: t.exporter.sent.Load(), Failed: t.exporter.failed.Load(),
		Dropped: t.waiting.dropped.Load(), Limited: t.limited.Load(),
	}
}
