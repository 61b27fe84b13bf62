package loadtest

import (
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"encoding/hex"
	"maps"
	"os"
	"time"
)

// bench is one run: clients, a publisher, and the measurements of both.
type bench struct {
	opts    Options
	clients clients
	pub     *publisher
	usage   *usageMeter
	result  Result
	began   time.Time // of the measured phase
}

// run runs a scenario. The scenario's context ends with ctx, and when the run is aborted, with the
// reason as its cause. No connection is left afterwards.
func run(ctx context.Context, name string, opts Options, scenario func(context.Context, *bench) error) (Result, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return Result{}, err
	}
	ctx, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	b := &bench{opts: opts, result: Result{
		Scenario: name, URL: opts.URL, Publish: opts.Publish.URL, Pattern: opts.Pattern, Form: opts.Form,
		Conns: opts.Conns, Workers: opts.Workers, Rate: opts.Rate, Burst: opts.Burst, Payload: opts.Payload, Started: time.Now(),
	}}
	metrics, err := watchMetrics(ctx, opts.Metrics)
	if err != nil {
		return Result{}, err
	}
	defer metrics.stop()
	r, err := b.runScenario(ctx, abort, scenario)
	if err == nil {
		r.Gauges = metrics.finish(ctx)
	}
	return r, err
}

func (b *bench) runScenario(ctx context.Context, abort func(error), scenario func(context.Context, *bench) error) (_ Result, err error) {
	id := make([]byte, 4)
	_, _ = cryptorand.Read(id) // never fails
	runID := hex.EncodeToString(id)
	if b.pub, err = newPublisher(b.opts, runID); err != nil {
		return Result{}, err
	}
	defer b.pub.sink.close()
	if b.clients, err = newClients(ctx, b.opts, runID, abort); err != nil {
		return Result{}, err
	}
	defer b.clients.close()
	if b.usage, err = newUsageMeter(append(b.clients.pids(), os.Getpid()), b.opts.PIDs); err != nil {
		return Result{}, err
	}
	if err := scenario(ctx, b); err != nil {
		return Result{}, err
	}
	return b.finish(ctx)
}

// connect opens all clients and starts the measured phase.
func (b *bench) connect(ctx context.Context) error {
	opened := make(chan error, 1)
	go func() {
		connects, err := b.clients.openAll(ctx)
		b.result.Connect = connects
		opened <- err
	}()
	if err := b.sampleUntil(ctx, "connecting", opened); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond) // a server releases the buffers of the connects
	b.usage.connected()
	b.began = time.Now()
	return nil
}

// sampleUntil samples every second until done receives.
func (b *bench) sampleUntil(ctx context.Context, phase string, done <-chan error) error {
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

// sample adds to the series. An error of the clients ends the run elsewhere.
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

// publish sends n events and samples the run.
func (b *bench) publish(ctx context.Context, phase string, n int) error {
	sent := make(chan error, 1)
	go func() { sent <- b.pub.send(ctx, n) }()
	return cmp.Or(b.sampleUntil(ctx, phase, sent), context.Cause(ctx))
}

// waitUntilCaughtUp blocks until every client has received what was published, at most for Settle.
// It returns the time of the last one, or the zero time if not all did.
func (b *bench) waitUntilCaughtUp(ctx context.Context) (last time.Time, err error) {
	bounded, cancel := context.WithTimeout(ctx, b.opts.Settle)
	defer cancel()
	reached := b.clients.setTarget(bounded, b.published())
	done := make(chan error, 1)
	go func() {
		select {
		case last = <-reached:
		case <-bounded.Done():
		}
		done <- context.Cause(ctx)
	}()
	err = b.sampleUntil(ctx, "settling", done)
	return last, err
}

func (b *bench) published() map[string]int {
	b.pub.mu.Lock()
	defer b.pub.mu.Unlock()
	return maps.Clone(b.pub.numbers)
}

// finish ends the run and fills in the measurements.
func (b *bench) finish(ctx context.Context) (Result, error) {
	r := &b.result
	r.Took = time.Since(b.began)
	b.sample(ctx, "done")
	b.usage.finish()
	received, err := b.clients.finish(ctx, b.published())
	if err != nil {
		return Result{}, err
	}
	r.Published = b.pub.published
	r.Verdict = received.fullVerdict()
	r.Connect.Reconnects = received.Reconnects
	r.Connect.FullHandshakes, r.Connect.ResumedHandshakes = received.FullHandshakes, received.ResumedHandshakes
	r.Latency, r.WireBytes = newLatency(received.Latency.Histogram), received.Bytes
	if b.opts.Burst > 1 {
		r.Delivery = b.delivery(received)
	}
	r.Self, r.Servers = b.usage.results(int64(b.opts.Conns), r.Latency.Count)
	return *r, nil
}

// delivery returns how fast the bursts were delivered. With several bursts it includes the time
// between them.
func (b *bench) delivery(received ClientsResult) Delivery {
	d, from := Delivery{Since: FirstReceipt}, received.First
	if b.pub.bursts == 1 {
		d.Since, from = BurstDue, b.pub.began.UnixNano()
	}
	if d.Took = time.Duration(received.Last - from); received.Last == 0 || d.Took <= 0 {
		return Delivery{Since: d.Since}
	}
	d.PerSecond = float64(received.Verdict.Delivered) / d.Took.Seconds()
	return d
}
