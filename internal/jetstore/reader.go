package jetstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/backoff"
	"github.com/tidemark/tidemark/internal/feed"
)

// Read implements feed.Store. It returns when the replay's consumer exists, which may queue
// behind Options.MaxCreates others unless only headers are read.
func (s *Store) Read(ctx context.Context, opts feed.ReadOptions) (feed.Reader, error) {
	if opts.From == 0 {
		return nil, errors.New("jetstore: sequences begin at 1")
	}
	r := &reader{store: s, opts: opts, cursor: opts.From - 1}
	if opts.From > opts.To {
		r.state = readComplete
		return r, nil
	}
	kind := "replay"
	if opts.HeadersOnly {
		kind = "check"
	}
	p, err := s.newPuller(kind, s.replays, s.opts.Batch, replayConfig(&s.opts, opts))
	if err != nil {
		return nil, err
	}
	r.pull = p
	if r.pending, err = r.attach(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func replayConfig(o *Options, opts feed.ReadOptions) jetstream.ConsumerConfig {
	cfg := o.consumerConfig(opts.Filters)
	cfg.HeadersOnly = opts.HeadersOnly
	if opts.LastPerSubject {
		cfg.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
		if len(opts.Filters) == 0 { // the server requires a filter
			cfg.FilterSubject, cfg.FilterSubjects = ">", nil
		}
	}
	return cfg
}

// reader is one replay.
type reader struct {
	store   *Store
	opts    feed.ReadOptions
	pull    *puller // nil when there is nothing to read
	pending uint64  // when it was opened
	limit   int     // bytes of a batch, by Request; 0 before it is called

	state  readState
	cursor uint64     // the last sequence that was returned
	final  feed.State // once finished

	failures       int // consumers lost since the last event
	verifyAttempts int // times in a row that the leader had more than the consumer
}

// Pending implements feed.Reader.
func (r *reader) Pending() uint64 { return r.pending }

// Close implements feed.Reader.
func (r *reader) Close() {
	if r.state != readClosed {
		r.move(readClosed)
	}
}

var errReaderClosed = errors.New("jetstore: the reader is closed")

// eventCost is an estimate of the memory that an event takes besides its payload, from the connection to
// the frame: a request is for as many events as fit with it.
const eventCost = 512

// bytes returns the size of a request.
func (r *reader) bytes() int { return cmp.Or(r.limit, r.store.opts.BatchBytes) }

// batch returns the number of events that a request is for.
func (r *reader) batch() int { return min(r.store.opts.Batch, max(r.bytes()/eventCost, 1)) }

// Request implements feed.Reader. The answer of the server waits in the puller.
func (r *reader) Request(bytes int) bool {
	r.limit = max(min(bytes, r.store.opts.BatchBytes), 1)
	switch r.state {
	case readDetached: // the next fetch creates a consumer, and then requests
		return true
	case readPulling:
		if !r.pull.requested() && r.pull.request(r.store.leader.ctx, r.batch(), r.bytes()) != nil {
			r.pull.left = 0 // the next fetch requests again, and reports
		}
		return true
	}
	return false
}

// Next implements feed.Reader. After an error other than io.EOF, the next call reads again what this
// one has read.
func (r *reader) Next(ctx context.Context) (feed.Batch, error) {
	switch r.state {
	case readClosed:
		return feed.Batch{}, errReaderClosed
	case readFinished:
		return feed.Batch{State: r.final}, io.EOF
	}
	events, err := r.collect(ctx)
	if _, large := errors.AsType[*feed.LargeEventError](err); large {
		return feed.Batch{}, err // the consumer waits with it
	}
	var state feed.State
	if err == nil {
		state, err = r.store.State(ctx)
	}
	if err != nil {
		if r.pull != nil && r.state != readDetached {
			r.move(readDetached)
		}
		return feed.Batch{}, err
	}
	if r.state == readComplete {
		r.final = state
		r.move(readFinished)
	}
	batch := feed.Batch{Events: events, State: state}
	if len(events) == 0 {
		return batch, io.EOF
	}
	r.cursor = events[len(events)-1].Seq
	return batch, nil
}

// collect returns the next events. They are empty when the replay is complete.
func (r *reader) collect(ctx context.Context) (events []feed.Event, err error) {
	for r.state != readComplete && len(events) == 0 {
		if r.state == readDetached {
			if _, err := r.attach(ctx); err != nil {
				return nil, err
			}
		}
		if r.state == readPulling {
			events, err = r.fetch(ctx)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				r.detach(err)
			}
			if len(events) == 0 && r.limit > 0 && r.pull.single {
				return nil, &feed.LargeEventError{Bytes: int(r.pull.conn.MaxPayload()) + eventCost}
			}
		}
		if r.state == readDrained {
			if err := r.verifyEnd(ctx, events); err != nil {
				return nil, err
			}
		}
	}
	return events, nil
}

// attach creates a consumer after the cursor, and returns the number of its pending messages.
func (r *reader) attach(ctx context.Context) (pending uint64, err error) {
	if r.failures > 1 { // there is no pause after the first failure
		if err := backoff.Pause(ctx, backoff.Delay(r.failures-2), r.pull.conn.watcher.Changed()); err != nil {
			return 0, err
		}
	}
	err = r.store.leader.retry(ctx, func() error {
		made, err := r.pull.open(ctx, r.cursor+1, r.create())
		pending = made.NumPending
		return err
	})
	if err != nil && permanent(err) && !errors.Is(err, feed.ErrNoStream) {
		err = r.store.leader.explainRefusal(ctx, err)
	}
	if err != nil {
		return 0, err
	}
	if pending == 0 { // the consumer would only repeat that
		r.move(readDrained)
	} else {
		r.move(readPulling)
	}
	return pending, nil
}

// create returns how the replay's consumers are created: those that cost the server more have a queue of
// their own.
func (r *reader) create() createFunc {
	switch {
	case r.opts.HeadersOnly:
		return r.store.creator.now
	case r.opts.LastPerSubject:
		return r.store.creator.scanned(r.opts.Subjects)
	}
	return r.store.creator.queued
}

// detach drops a consumer that has failed. It is the only place that decides to replace one.
func (r *reader) detach(cause error) {
	r.failures++
	r.move(readDetached)
	r.pull.silence = r.store.opts.Heartbeat * 5 / 2 << min(r.failures-1, 3) // the cause may be load
	if r.failures >= maxSilent {
		r.store.leader.logRetry(cause)
	}
	r.store.opts.Logger.Debug("jetstream: consumer of a replay failed; creating another", "after", r.cursor, "error", cause)
}

// fetch reads events until the request under way ends, or the consumer has nothing more. Events are
// valid also with an error.
func (r *reader) fetch(ctx context.Context) (events []feed.Event, err error) {
	if !r.pull.requested() {
		if err := r.pull.request(ctx, r.batch(), r.bytes()); err != nil {
			return nil, err
		}
	}
	for {
		d, err := r.pull.next(ctx)
		switch {
		case err != nil:
			return events, err
		case d.kind == idle:
			r.move(readDrained)
			return events, nil
		case d.kind == over, d.kind == expired:
			return events, nil
		}
		r.failures, r.verifyAttempts = 0, 0
		if r.inRange(d.event.Seq) {
			if events == nil {
				events = make([]feed.Event, 0, min(d.pending+1, uint64(r.pull.left)+1)) //nolint:gosec // a count that ends at zero
			}
			events = append(events, d.event)
		}
		switch {
		case d.event.Seq >= r.opts.To:
			r.move(readComplete)
			return events, nil
		case d.pending == 0:
			r.move(readDrained)
			return events, nil
		case !r.pull.requested():
			return events, nil
		}
	}
}

// inRange reports whether an event is in the range: the latest of a subject may lie before From,
// or an earlier consumer may have delivered it.
func (r *reader) inRange(seq uint64) bool { return r.cursor < seq && seq <= r.opts.To }

// maxVerifyAttempts is how often the same consumer is read again when the leader has more.
const maxVerifyAttempts = 3

// verifyEnd completes the replay if the leader, too, has nothing between the last event and opts.To.
func (r *reader) verifyEnd(ctx context.Context, events []feed.Event) error {
	last := r.cursor
	if n := len(events); n > 0 {
		last = events[n-1].Seq
	}
	more, err := r.leaderHasMore(ctx, last)
	if err != nil {
		return err
	}
	if !more {
		r.move(readComplete)
		return nil
	}
	if r.verifyAttempts++; r.verifyAttempts < maxVerifyAttempts {
		r.move(readPulling)
		return nil
	}
	r.verifyAttempts = 0
	r.detach(fmt.Errorf("the consumer has nothing after %d, and the leader has", last))
	return nil
}

func (r *reader) leaderHasMore(ctx context.Context, cursor uint64) (bool, error) {
	filters := r.opts.Filters
	if len(filters) == 0 {
		filters = []string{">"}
	}
	for _, filter := range filters {
		if more, err := r.leaderHas(ctx, cursor, filter); more || err != nil {
			return more, err
		}
	}
	return false, nil
}

// leaderHas looks for a message of the range that is still missing. With LastPerSubject, a
// message that a later one beyond the range has replaced is not missing.
func (r *reader) leaderHas(ctx context.Context, cursor uint64, filter string) (bool, error) {
	for {
		msg, found, err := r.store.leader.get(ctx, msgQuery{Seq: cursor + 1, NextFor: filter})
		if err != nil || !found || msg.Seq > r.opts.To {
			return false, err
		}
		if !r.opts.LastPerSubject {
			return true, nil
		}
		last, found, err := r.store.leader.get(ctx, msgQuery{LastFor: msg.Subject})
		if err != nil || found && last.Seq <= r.opts.To {
			return true, err
		}
		cursor = msg.Seq
	}
}
