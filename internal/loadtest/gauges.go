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

// Metrics is what a run asks of the server's own metrics, so that it shows whether what the
// clients took was given back.
type Metrics struct {
	URL   string        // in Prometheus's text form; no metrics are asked for when empty
	Names []string      // of gauges and counters; those of several series are added up
	Every time.Duration // between two looks; 5 s when zero
	// Rest is how long the server is watched on after the clients have left.
	After time.Duration
}

// Gauge is a metric of the server over time.
type Gauge struct {
	Name   string       `json:"name"`
	Points []GaugePoint `json:"points"`
}

// GaugePoint is a metric at a time. While the server does not answer there are none.
type GaugePoint struct {
	At    time.Duration `json:"at_ns"` // since before the first connection was opened
	Value float64       `json:"value"`
}

// mostMetricsBytes bounds what is read of a server's metrics.
const maxMetricsBytes = 16 << 20

// gauges follows the metrics of a server from its own goroutine.
type metricsWatcher struct {
	opts   Metrics
	client http.Client
	began  time.Time
	series []Gauge
	ended  chan struct{}
	cancel context.CancelFunc
}

// watchGauges looks for the first time itself: an address that does not answer, or a name that
// is not there, is an error before anything has begun.
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
			_ = g.record(ctx) // a server that is down has no metrics; the series shows a hole
		}
	}
}

// rest watches on for a while, and ends the watch. It blocks for Rest, or until ctx ends.
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
		return nil, fmt.Errorf("%s is not in Prometheus's text form: %w", g.opts.URL, err)
	}
	return families, nil
}

// sum adds up the series of a gauge or a counter. What is no number could not be drawn.
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
