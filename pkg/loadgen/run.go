package loadgen

import (
	"context"
	"errors"
	"maps"
	"os"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// bench is one run: clients, a publisher, and what is measured of both.
type bench struct {
	opts   Options
	swarm  *swarm
	pub    *publisher
	meter  *meter // the first is the stand itself
	result Result
	began  time.Time // of the measured phase
	last   time.Time // sample
}

func newBench(scenario string, opts Options) (*bench, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	meter, err := newMeter(append(ownPID(), opts.PIDs...))
	if err != nil {
		return nil, err
	}
	s, err := newSwarm(opts)
	if err != nil {
		return nil, err
	}
	pub, err := newPublisher(opts, s.run)
	if err != nil {
		s.close()
		return nil, err
	}
	b := &bench{opts: opts, swarm: s, pub: pub, meter: meter}
	b.result = Result{
		Scenario: scenario, URL: opts.URL, Publish: opts.Publish.URL, Pattern: opts.Pattern,
		Conns: opts.Conns, Rate: opts.Rate, Payload: opts.Payload, Started: time.Now(),
	}
	return b, nil
}

// ownPID is the stand's own process, where /proc tells of it.
func ownPID() []int {
	if _, err := os.Stat(procFile(os.Getpid(), "stat")); err != nil {
		return nil
	}
	return []int{os.Getpid()}
}

// connectTimeout bounds the opening of all connections, beside the ramp.
const connectTimeout = 60 * time.Second

// connect opens all clients and begins to measure.
func (b *bench) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout+b.opts.Ramp)
	defer cancel()
	opened := make(chan error, 1)
	go func() {
		connects, err := b.swarm.openAll(ctx, b.opts.Ramp)
		b.result.Connect = connects
		opened <- err
	}()
	if err := b.watch("connecting", opened, cancel); err != nil {
		return err
	}
	b.settleMemory()
	b.meter.idle(b.opts.Conns)
	b.began, b.last = time.Now(), time.Now()
	return nil
}

// settleMemory gives a server a moment to be done with what connecting took.
func (b *bench) settleMemory() { time.Sleep(500 * time.Millisecond) }

// watch reports every second until done tells. What the machine cannot give stops the run:
// clients that could not come back for want of a port are not the server's fault.
func (b *bench) watch(phase string, done <-chan error, stop func()) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case fatal := <-b.swarm.fatal:
			stop()
			return errors.Join(fatal, <-done)
		case <-tick.C:
			b.sample(phase)
		}
	}
}

func (b *bench) sample(phase string) {
	s := b.swarm.sample()
	s.Published = b.pub.sample()
	if !b.began.IsZero() {
		s.At = time.Since(b.began)
		b.result.Series = append(b.result.Series, s)
	}
	b.opts.Progress(phase, s)
}

// publish sends n events while the run is watched.
func (b *bench) publish(ctx context.Context, phase string, n int) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	sent := make(chan error, 1)
	go func() { sent <- b.pub.send(ctx, n) }()
	return b.watch(phase, sent, stop)
}

// settle waits until every client is level with what was published, or bounded by Settle,
// and returns when the last one was; the zero time says that not all were.
func (b *bench) settle(ctx context.Context) (level time.Time, err error) {
	g := b.swarm.aim(b.published())
	deadline := time.Now().Add(b.opts.Settle)
	for next := time.Now().Add(time.Second); time.Now().Before(deadline); {
		if at := g.at.Load(); at != 0 {
			return time.Unix(0, at), nil
		}
		if time.Now().After(next) {
			b.sample("settling")
			next = next.Add(time.Second)
		}
		if err := b.swarm.pause(ctx, time.Millisecond); err != nil {
			return time.Time{}, err
		}
	}
	return time.Time{}, nil
}

func (b *bench) published() map[string]int {
	b.pub.mu.Lock()
	defer b.pub.mu.Unlock()
	return maps.Clone(b.pub.numbers)
}

// finish ends the run and fills in what was measured.
func (b *bench) finish() Result {
	r := &b.result
	r.Took = time.Since(b.began)
	b.sample("done")
	usages := b.meter.end(b.swarm.delivered())
	b.close()
	if len(ownPID()) > 0 {
		r.Self, usages = usages[0], usages[1:]
	}
	r.Servers = usages
	numbers := b.published()
	r.Published = b.pub.published
	r.Verdict = b.swarm.verdict(numbers)
	r.Connect.Reconnects = int(b.swarm.reconnects.Load())
	hist, bytes := b.swarm.latency()
	r.Latency, r.WireBytes = newLatency(hist), bytes
	return *r
}

func (b *bench) close() {
	b.pub.close()
	b.swarm.close()
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
