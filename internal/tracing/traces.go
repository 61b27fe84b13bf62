// Package tracing tells the ways of events and of replays as OpenTelemetry's spans, by OTLP.
//
// A publish over HTTP has a span, and one for its store below it. What is stored carries that on to
// each node, whose tail has a span, from the time at which the event was stored, and one for the
// delivery to all of its clients. A replay has one. Connections have none.
//
// What is traced waits for nobody and has bounds: of traces a second, of spans that wait for the
// collector, and of the time that Close takes. What exceeds them is dropped and counted.
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

// Options say where spans are sent, and of what. Endpoint is needed.
type Options struct {
	// Endpoint is where a collector takes OTLP over HTTP, with its path, such as
	// http://127.0.0.1:4318/v1/traces.
	Endpoint string
	// Sample is the share, 0 to 1, of publishes over HTTP and of replays that are traced where the
	// caller has not decided; with a traceparent its own word counts.
	Sample float64
	// Rate bounds the traces that are begun or continued each second, whoever decided; 100 when zero.
	// Each has two spans at most. A second's worth may come at once.
	Rate int
	// Wait is how long the span of a delivery waits for clients that do not take the event; 5 s when
	// zero.
	Wait time.Duration
	// Flush bounds how long Close waits for the collector; 3 s when zero.
	Flush time.Duration

	Node, Version string       // of this process
	Logger        *slog.Logger // hears of a collector that fails, once a minute at most; nil discards
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

// Traces make spans. Nil makes none, and costs nothing.
type Traces struct {
	opts     Options
	limit    *rate.Limiter
	limited  atomic.Uint64
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	exporter *exporter
	waiting  *waiting
	open     *open
}

// Bounds on the batches. What OTEL_BSP_* in the environment say is not heeded, so that they hold.
const (
	maxWaiting    = 2048
	maxBatch      = 512
	batchPause    = 2 * time.Second
	exportTimeout = 10 * time.Second // repeats included
)

// New does not look for the collector: one that is down is tried again and again. Nothing global is
// set, as a process may hold several nodes. Whoever calls New calls Close.
func New(opts Options) (*Traces, error) {
	if err := checkEndpoint(opts.Endpoint); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	described, err := newResource(opts)
	if err != nil {
		opts.Logger.Warn("OTEL_RESOURCE_ATTRIBUTES cannot be read; traces are sent without it", "error", err)
	}
	transport := &http.Transport{ // of its own, so that its idle connections end with Close
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
	t.waiting = &waiting{SpanProcessor: sdktrace.NewBatchSpanProcessor(t.exporter,
		sdktrace.WithMaxQueueSize(maxWaiting), sdktrace.WithMaxExportBatchSize(maxBatch),
		sdktrace.WithBatchTimeout(batchPause), sdktrace.WithExportTimeout(exportTimeout))}
	t.exporter.taken = t.waiting.left
	t.provider = sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(t.waiting), sdktrace.WithSampler(t.sampler()),
		sdktrace.WithResource(described),
	)
	t.tracer = t.provider.Tracer("github.com/tidemark/tidemark")
	t.open = newOpen(opts.Wait)
	return t, nil
}

// noRedirects: spans go where the configuration says.
func noRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// checkEndpoint refuses what the exporter would leave out, or replace by a default, in silence.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return errors.New("is not a URL; write one such as http://127.0.0.1:4318/v1/traces")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path == "" || u.Path == "/":
		return fmt.Errorf("%q is not the URL of a collector with its path; write one such as http://127.0.0.1:4318/v1/traces", u.Redacted())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("a user, a query or a fragment would not be sent; put credentials into a header by the variable OTEL_EXPORTER_OTLP_HEADERS")
	}
	return nil
}

// Close ends what is open, sends what waits, for Options.Flush at most, and returns once all
// goroutines have ended. Spans that end later are dropped.
func (t *Traces) Close() {
	t.open.close()
	t.exporter.endBy(t.opts.Flush)
	_ = t.provider.Shutdown(context.Background()) // bounded by the exporter, which tells of failures
	t.exporter.close()
}

// Status is what became of spans and traces so far.
type Status struct {
	Sent, Failed, Dropped uint64 // spans: taken by the collector, not taken, not even queued
	Limited               uint64 // traces that Options.Rate kept from being told
}

// Status may be asked at any time.
func (t *Traces) Status() Status {
	return Status{
		Sent: t.exporter.sent.Load(), Failed: t.exporter.failed.Load(),
		Dropped: t.waiting.dropped.Load(), Limited: t.limited.Load(),
	}
}
