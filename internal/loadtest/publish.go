package loadtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// publishers is how many publishes are in flight at once. Those of one key wait for each other, so
// that they are stored in the order of their numbers.
const publishers = 32

// publisher numbers events, sends each at its time, and retries until it is acknowledged. Bursts
// wait for each other, for any keys: each is as fast as the sink.
type publisher struct {
	opts   Options
	run    string
	sink   sink
	queues []chan []marker

	mu        sync.Mutex
	numbers   map[string]int // assigned, by key
	published int            // acknowledged
	second    int            // acknowledged since the last sample
	bursts    int
	began     time.Time // send time of the first event
}

func newPublisher(opts Options, run string) (*publisher, error) {
	sink, err := newSink(opts)
	if err != nil {
		return nil, err
	}
	return &publisher{opts: opts, run: run, sink: sink, numbers: map[string]int{}}, nil
}

// send publishes n events at the rate, or until ctx ends, and returns when all are acknowledged.
// Late events are sent at once and keep their send time: lost time counts as latency.
func (p *publisher) send(ctx context.Context, n int) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var workers sync.WaitGroup
	p.queues = make([]chan []marker, publishers)
	if p.opts.Burst > 1 {
		p.queues = p.queues[:1]
	}
	for i := range p.queues {
		p.queues[i] = make(chan []marker, max(1, 1024/p.opts.Burst))
		workers.Go(func() { p.publishQueue(ctx, stop, p.queues[i]) })
	}
	start := time.Now()
	for i := 0; i < n; i += p.opts.Burst {
		due := start.Add(time.Duration(float64(i) / p.opts.Rate * float64(time.Second)))
		if !sleepUntil(ctx, due) {
			break
		}
		p.enqueue(ctx, i, min(p.opts.Burst, n-i), due)
	}
	for _, q := range p.queues {
		close(q)
	}
	workers.Wait()
	if _, refused := errors.AsType[refusedError](context.Cause(ctx)); refused {
		return context.Cause(ctx)
	}
	return nil
}

func sleepUntil(ctx context.Context, due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}

// enqueue numbers the events of a burst, from the i-th of all on.
func (p *publisher) enqueue(ctx context.Context, i, size int, due time.Time) {
	burst := make([]marker, size)
	p.mu.Lock()
	for k := range burst {
		key := p.opts.key(i + k)
		p.numbers[key]++
		burst[k] = marker{run: p.run, key: key, n: p.numbers[key], sent: due}
	}
	if p.bursts++; p.bursts == 1 {
		p.began = due
	}
	p.mu.Unlock()
	slot := 0
	if p.opts.Pattern == PerUser {
		slot = i % p.opts.Users % len(p.queues)
	}
	select {
	case p.queues[slot] <- burst:
	case <-ctx.Done():
		p.unassign(burst)
	}
}

// unassign releases numbers that were never sent.
func (p *publisher) unassign(burst []marker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range burst {
		p.numbers[m.key]--
	}
}

const (
	publishTimeout = 60 * time.Second // of an event, or a burst, with all attempts
	attemptTimeout = 5 * time.Second
)

func (p *publisher) publishQueue(ctx context.Context, stop context.CancelCauseFunc, queue chan []marker) {
	for burst := range queue {
		sent := 0
		for _, batch := range p.sink.batches(p.messages(burst)) {
			if ctx.Err() != nil {
				break
			}
			if err := p.publishBatch(batch); err != nil {
				stop(refusedError{fmt.Errorf("publishing %s: %w", nameOf(batch), err)})
				break
			}
			sent += len(batch)
		}
		p.unassign(burst[sent:])
	}
}

func (p *publisher) messages(burst []marker) []message {
	all := make([]message, len(burst))
	for i, m := range burst {
		all[i] = message{key: m.key, payload: m.payload(p.opts.Payload), n: m.n, id: fmt.Sprintf("%s-%s-%d", m.run, m.key, m.n)}
	}
	return all
}

func nameOf(batch []message) string {
	if m := batch[0]; len(batch) == 1 {
		return fmt.Sprintf("event %d for %s", m.n, m.key)
	}
	return fmt.Sprintf("%d events of a burst", len(batch))
}

// publishBatch retries a publish until it is acknowledged. It outlives the run's context: an event
// that may have been sent is either acknowledged or the run has failed.
func (p *publisher) publishBatch(batch []message) error {
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	first := time.Now()
	err := p.attempt(ctx, func(ctx context.Context) error { return p.sink.publish(ctx, batch) })
	for err != nil {
		if _, refused := errors.AsType[refusedError](err); refused || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
		err = p.attempt(ctx, func(ctx context.Context) error {
			if err := p.sink.checkRepeat(ctx, batch, first); err != nil {
				return err
			}
			return p.sink.publish(ctx, batch)
		})
	}
	p.mu.Lock()
	p.published += len(batch)
	p.second += len(batch)
	p.mu.Unlock()
	return nil
}

func (p *publisher) attempt(ctx context.Context, publish func(context.Context) error) error {
	ctx, done := context.WithTimeout(ctx, attemptTimeout)
	defer done()
	return publish(ctx)
}

// sample returns how many events were acknowledged since the last call.
func (p *publisher) sample() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, p.second = p.second, 0
	return n
}
