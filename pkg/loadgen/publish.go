package loadgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// PublishTarget says where events are published. In each template {user} becomes the user
// and {payload} the data.
type PublishTarget struct {
	// URL is http(s)://… for a POST an event, or nats://… for JetStream.
	URL string
	// Body is the POST's; the payload alone when empty. ContentType goes with it.
	Body, ContentType string
	Headers           []string
	// Subject is for NATS, such as notifications.user.{user}.
	Subject string
}

// sink publishes one event at a time for a key, and returns when it is acknowledged.
type sink interface {
	publish(ctx context.Context, key, payload, id string) error
	close()
}

func newSink(t PublishTarget) (sink, error) {
	switch {
	case strings.HasPrefix(t.URL, "http://"), strings.HasPrefix(t.URL, "https://"):
		return &httpSink{t: t, client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: publishers}}}, nil
	case strings.HasPrefix(t.URL, "nats://"), strings.HasPrefix(t.URL, "tls://"):
		return newNATSSink(t)
	}
	return nil, fmt.Errorf("--publish %q: want http://… or nats://…", t.URL)
}

type httpSink struct {
	t      PublishTarget
	client *http.Client
}

func (h *httpSink) publish(ctx context.Context, key, payload, id string) error {
	fill := strings.NewReplacer("{user}", key, "{payload}", payload)
	body := payload
	if h.t.Body != "" {
		body = fill.Replace(h.t.Body)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fill.Replace(h.t.URL), bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Idempotency-Key", id) // a repeat after an answer that was lost is no second event
	if h.t.ContentType != "" {
		req.Header.Set("Content-Type", h.t.ContentType)
	}
	for _, line := range h.t.Headers {
		name, value, _ := strings.Cut(fill.Replace(line), ":")
		req.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
	if resp.StatusCode >= 300 {
		err := fmt.Errorf("the server answered %s: %s", resp.Status, bytes.TrimSpace(answer))
		if resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests {
			return refusedError{err}
		}
		return err
	}
	return nil
}

func (h *httpSink) close() { h.client.CloseIdleConnections() }

// refusedError is an answer that a repeat would not change.
type refusedError struct{ error }

type natsSink struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	subject string
}

func newNATSSink(t PublishTarget) (sink, error) {
	if t.Subject == "" {
		return nil, errors.New("--publish-subject is needed to publish to NATS, such as notifications.user.{user}")
	}
	nc, err := nats.Connect(t.URL, nats.Name("tidemark bench"), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("--publish %s: %w", t.URL, err)
	}
	js, err := jetstream.New(nc)
	return &natsSink{nc, js, t.Subject}, err
}

func (n *natsSink) publish(ctx context.Context, key, payload, id string) error {
	_, err := n.js.Publish(ctx, expandUser(n.subject, key), []byte(payload), jetstream.WithMsgID(id))
	if errors.Is(err, jetstream.ErrNoStreamResponse) && n.nc.IsConnected() {
		return fmt.Errorf("no stream takes %s: %w", expandUser(n.subject, key), err)
	}
	return err
}

func (n *natsSink) close() { n.nc.Close() }

// publishers is how many events may be on their way at once. Those of one key go in turn,
// so that they are stored in the order of their numbers.
const publishers = 32

// publisher numbers events, sends each at its time, and repeats it until it is acknowledged.
type publisher struct {
	opts   Options
	run    string
	sink   sink
	queues []chan marker

	mu        sync.Mutex
	numbers   map[string]int // given
	published int            // acknowledged
	second    int            // of them since the last sample
}

func newPublisher(opts Options, run string) (*publisher, error) {
	sink, err := newSink(opts.Publish)
	if err != nil {
		return nil, err
	}
	return &publisher{opts: opts, run: run, sink: sink, numbers: map[string]int{}}, nil
}

// send publishes n events at the rate, or until ctx ends, and returns when all are
// acknowledged. Events that are due go out at once: time that was lost is not given back.
func (p *publisher) send(ctx context.Context, n int) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var workers sync.WaitGroup
	p.queues = make([]chan marker, publishers)
	for i := range p.queues {
		p.queues[i] = make(chan marker, 1024)
		workers.Go(func() { p.work(ctx, stop, p.queues[i]) })
	}
	start := time.Now()
	for i := range n {
		due := start.Add(time.Duration(float64(i) / p.opts.Rate * float64(time.Second)))
		if !sleepUntil(ctx, due) {
			break
		}
		p.give(ctx, i, due)
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

func (p *publisher) give(ctx context.Context, i int, due time.Time) {
	slot, key := 0, "all"
	if p.opts.Pattern == PerUser {
		user := i % p.opts.Users
		slot, key = user%publishers, p.opts.key(user)
	}
	p.mu.Lock()
	p.numbers[key]++
	m := marker{run: p.run, key: key, n: p.numbers[key], sent: due}
	p.mu.Unlock()
	select {
	case p.queues[slot] <- m:
	case <-ctx.Done():
		p.takeBack(key)
	}
}

// takeBack forgets a number that was never sent.
func (p *publisher) takeBack(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.numbers[key]--
}

// giveUpAfter bounds how long one event is tried again.
const giveUpAfter = 60 * time.Second

func (p *publisher) work(ctx context.Context, stop context.CancelCauseFunc, queue chan marker) {
	failed := false
	for m := range queue {
		if failed {
			p.takeBack(m.key)
			continue
		}
		if err := p.deliver(m); err != nil {
			failed = true
			p.takeBack(m.key)
			stop(refusedError{fmt.Errorf("publishing event %d for %s: %w", m.n, m.key, err)})
		}
	}
}

// deliver repeats a publish until it is acknowledged. It outlives the run's context: an
// event that may be on its way is either acknowledged or the run has failed.
func (p *publisher) deliver(m marker) error {
	ctx, cancel := context.WithTimeout(context.Background(), giveUpAfter)
	defer cancel()
	id := p.run + "-" + m.key + "-" + fmt.Sprint(m.n)
	for {
		try, done := context.WithTimeout(ctx, 5*time.Second)
		err := p.sink.publish(try, m.key, m.payload(p.opts.Payload), id)
		done()
		if err == nil {
			p.mu.Lock()
			p.published++
			p.second++
			p.mu.Unlock()
			return nil
		}
		if _, refused := errors.AsType[refusedError](err); refused || ctx.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// sample returns how many were acknowledged since the last one.
func (p *publisher) sample() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, p.second = p.second, 0
	return n
}

func (p *publisher) close() { p.sink.close() }
