package loadtest

import (
	"cmp"
	"context"
	"maps"
	"os"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// bench is one run: clients, a publisher, and what is measured of both.
type bench struct {
	opts   Options
	clients  clients
	pub    *publisher
	meter  *usageMeter
	result Result
	began  time.Time // of the measured phase
}

// run plays a scenario. The context that play gets ends with ctx, and when the run cannot go
// on; its cause says why.
func run(ctx context.Context, scenario string, opts Options, play func(*bench, context.Context) error) (Result, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return Result{}, err
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	b := &bench{opts: opts, result: Result{
		Scenario: scenario, URL: opts.URL, Publish: opts.Publish.URL, Pattern: opts.Pattern,
		Conns: opts.Conns, Workers: opts.Workers, Rate: opts.Rate, Burst: opts.Burst, Payload: opts.Payload, Started: time.Now(),
	}}
	watch, err := watchMetrics(ctx, opts.Metrics)
	if err != nil {
		return Result{}, err
	}
	defer watch.stop()
	r, err := b.runScenario(ctx, giveUp, play)
	if err == nil {
		r.Gauges = watch.finish(ctx)
	}
	return r, err
}

// play ends with no connection left.
func (b *bench) runScenario(ctx context.Context, giveUp context.CancelCauseFunc, scenario func(*bench, context.Context) error) (Result, error) {
	if err := b.prepare(ctx, giveUp); err != nil {
		return Result{}, err
	}
	defer b.close()
	if err := scenario(b, ctx); err != nil {
		return Result{}, err
	}
	return b.finish(ctx)
}

// prepare makes what a run needs, or nothing.
func (b *bench) prepare(ctx context.Context, giveUp func(error)) (err error) {
	name := newRunID()
	if b.pub, err = newPublisher(b.opts, name); err != nil {
		return err
	}
	if b.clients, err = newClients(ctx, b.opts, name, giveUp); err != nil {
		b.pub.close()
		return err
	}
	if b.meter, err = newUsageMeter(append(b.clients.pids(), os.Getpid()), b.opts.PIDs); err != nil {
		b.close()
	}
	return err
}

// connect opens all clients and begins to measure.
func (b *bench) connect(ctx context.Context) error {
	opened := make(chan error, 1)
	go func() {
		connects, err := b.clients.openAll(ctx)
		b.result.Connect = connects
		opened <- err
	}()
	if err := b.watch(ctx, "connecting", opened); err != nil {
		return err
	}
	b.pauseForMemory()
	b.meter.connected()
	b.began = time.Now()
	return nil
}

// settleMemory gives a server a moment to be done with what connecting took.
func (b *bench) pauseForMemory() { time.Sleep(500 * time.Millisecond) }

// watch reports every second until done tells.
func (b *bench) watch(ctx context.Context, phase string, done <-chan error) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			b.sample(ctx, phase)
		}
	}
}

// sample adds to the series. What fails it ends the run, which tells of it.
func (b *bench) sample(ctx context.Context, phase string) {
	connected, second, err := b.clients.sample(ctx)
	if err != nil {
		return
	}
	s := Sample{Connected: connected, Published: b.pub.sample(), Delivered: int(second.TotalCount())}
	if s.Delivered > 0 {
		s.P50 = time.Duration(second.ValueAtQuantile(50))
		s.P99 = time.Duration(second.ValueAtQuantile(99))
		s.Max = time.Duration(second.Max())
	}
	if !b.began.IsZero() {
		s.At = time.Since(b.began)
		b.result.Series = append(b.result.Series, s)
	}
	b.opts.Progress(phase, s)
}

// publish sends n events while the run is watched.
func (b *bench) publish(ctx context.Context, phase string, n int) error {
	sent := make(chan error, 1)
	go func() { sent <- b.pub.send(ctx, n) }()
	return cmp.Or(b.watch(ctx, phase, sent), context.Cause(ctx))
}

// settle waits until every client is level with what was published, or bounded by Settle,
// and returns when the last one was; the zero time says that not all were.
func (b *bench) waitUntilCaughtUp(run context.Context) (level time.Time, err error) {
	ctx, cancel := context.WithTimeout(run, b.opts.Settle)
	defer cancel()
	reached := b.clients.setTarget(ctx, b.published())
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case level := <-reached:
			return level, nil
		case <-ctx.Done():
			return time.Time{}, context.Cause(run)
		case <-tick.C:
			b.sample(run, "settling")
		}
	}
}

func (b *bench) published() map[string]int {
	b.pub.mu.Lock()
	defer b.pub.mu.Unlock()
	return maps.Clone(b.pub.numbers)
}

// finish ends the run and fills in what was measured.
func (b *bench) finish(ctx context.Context) (Result, error) {
	r := &b.result
	r.Took = time.Since(b.began)
	b.sample(ctx, "done")
	b.meter.end()
	h, err := b.clients.finish(ctx, b.published())
	if err != nil {
		return Result{}, err
	}
	r.Published = b.pub.published
	r.Verdict = h.sentences()
	r.Connect.Reconnects = h.Reconnects
	r.Latency, r.WireBytes = newLatency(h.Latency.Histogram), h.Bytes
	if b.opts.Burst > 1 {
		r.Delivery = b.delivery(h)
	}
	r.Self, r.Servers = b.meter.usages(int64(b.opts.Conns), r.Latency.Count)
	return *r, nil
}

// delivery tells how fast the bursts were delivered. With several bursts it tells of the time
// between them too.
func (b *bench) delivery(h clientsResult) Delivery {
	d, from := Delivery{Since: FirstReceipt}, h.First
	if b.pub.bursts == 1 {
		d.Since, from = BurstDue, b.pub.began.UnixNano()
	}
	if d.Took = time.Duration(h.Last - from); h.Last == 0 || d.Took <= 0 {
		return Delivery{Since: d.Since}
	}
	d.PerSecond = float64(h.Verdict.Delivered) / d.Took.Seconds()
	return d
}

func (b *bench) close() {
	b.pub.close()
	b.clients.close()
}

// percentiles are those that a result tells.
var percentiles = []float64{50, 90, 99, 99.9}

func newLatency(h *hdrhistogram.Histogram) Latency {
	l := Latency{Count: h.TotalCount(), At: map[string]time.Duration{}}
	if l.Count == 0 {
		return l
	}
	l.Mean, l.Max = time.Duration(h.Mean()), time.Duration(h.Max())
	for _, p := range percentiles {
		l.At[strconv.FormatFloat(p, 'f', -1, 64)] = time.Duration(h.ValueAtQuantile(p))
	}
	l.Buckets = buckets(h)
	return l
}

// buckets folds the histogram into eight a doubling: enough for a plot.
func buckets(h *hdrhistogram.Histogram) (out []Bucket) {
	upTo := time.Microsecond
	var count int64
	for _, bar := range h.Distribution() {
		for time.Duration(bar.To) > upTo {
			if count > 0 || len(out) > 0 {
				out = append(out, Bucket{upTo, count})
			}
			upTo, count = upTo+max(upTo/8, 1), 0
		}
		count += bar.Count
	}
	out = append(out, Bucket{upTo, count})
	for len(out) > 0 && out[len(out)-1].Count == 0 {
		out = out[:len(out)-1]
	}
	return out
}
