package loadtest

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metrics selects metrics of the server. They show whether it releases the resources of the clients.
type Metrics struct {
	URL   string        // in Prometheus's text format; no metrics are read when empty
	Names []string      // of gauges and counters; several series of a name are added up
	Every time.Duration // between two reads; 5 s when zero
	// After is how long the metrics are still read after the clients have disconnected.
	After time.Duration
}

// Gauge is a metric of the server over time.
type Gauge struct {
	Name   string       `json:"name"`
	Points []GaugePoint `json:"points"`
}

// GaugePoint is a metric at a time. There is none while the server does not answer.
type GaugePoint struct {
	At    time.Duration `json:"at_ns"` // since before the first connection
	Value float64       `json:"value"`
}

// maxMetricsBytes bounds the answer that is read.
const maxMetricsBytes = 16 << 20

// metricsWatcher reads the metrics of a server in its own goroutine. A nil one does nothing.
type metricsWatcher struct {
	opts   Metrics
	client http.Client
	began  time.Time
	series []Gauge
	ended  chan struct{}
	cancel context.CancelFunc
}

// watchMetrics reads once before it returns: an address that does not answer, or an unknown name,
// is an error before the run begins.
func watchMetrics(ctx context.Context, opts Metrics) (*metricsWatcher, error) {
	if opts.URL == "" {
		return nil, nil
	}
	if opts.Every <= 0 {
		opts.Every = 5 * time.Second
	}
	g := &metricsWatcher{opts: opts, began: time.Now(), ended: make(chan struct{}), client: http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}}}
	for _, name := range opts.Names {
		g.series = append(g.series, Gauge{Name: name})
	}
	if err := g.record(ctx); err != nil {
		return nil, fmt.Errorf("--metrics: %w", err)
	}
	for _, s := range g.series {
		if len(s.Points) == 0 {
			return nil, fmt.Errorf("--metric: %s is not among the gauges and counters of %s", s.Name, opts.URL)
		}
	}
	ctx, g.cancel = context.WithCancel(ctx)
	go g.run(ctx)
	return g, nil
}

func (g *metricsWatcher) run(ctx context.Context) {
	defer close(g.ended)
	defer g.client.CloseIdleConnections()
	tick := time.NewTicker(g.opts.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = g.record(ctx) // a server that is down has no metrics; the series has no points
		}
	}
}

// finish blocks for After, or until ctx ends, and returns the series.
func (g *metricsWatcher) finish(ctx context.Context) []Gauge {
	if g == nil {
		return nil
	}
	select {
	case <-ctx.Done():
	case <-time.After(g.opts.After):
	}
	g.stop()
	_ = g.record(ctx)
	return g.series
}

// stop may be called again.
func (g *metricsWatcher) stop() {
	if g != nil {
		g.cancel()
		<-g.ended
	}
}

func (g *metricsWatcher) record(ctx context.Context) error {
	families, err := g.scrape(ctx)
	if err != nil {
		return err
	}
	at := time.Since(g.began)
	for i := range g.series {
		s := &g.series[i]
		if v, ok := sumSeries(families[s.Name]); ok {
			s.Points = append(s.Points, GaugePoint{at, v})
		}
	}
	return nil
}

func (g *metricsWatcher) scrape(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.opts.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/plain")
	resp, err := g.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", g.opts.URL, resp.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(resp.Body, maxMetricsBytes))
	if err != nil {
		return nil, fmt.Errorf("%s is not in Prometheus's text format: %w", g.opts.URL, err)
	}
	return families, nil
}

// sumSeries adds up the series of a gauge or a counter. NaN and infinities cannot be plotted.
func sumSeries(f *dto.MetricFamily) (total float64, ok bool) {
	for _, m := range f.GetMetric() {
		switch {
		case m.Gauge != nil:
			total += m.GetGauge().GetValue()
		case m.Counter != nil:
			total += m.GetCounter().GetValue()
		case m.Untyped != nil:
			total += m.GetUntyped().GetValue()
		default:
			return 0, false
		}
		ok = true
	}
	return total, ok && !math.IsNaN(total) && !math.IsInf(total, 0)
}
