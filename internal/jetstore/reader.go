package jetstore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
)

// Read implements feed.Store. It returns when the replay's consumer is there, which may take
// its turn behind Options.MaxCreates others unless only headers are read.
func (l *Store) Read(ctx context.Context, opts feed.ReadOptions) (feed.Reader, error) {
	if opts.From == 0 {
		return nil, errors.New("jetstore: sequences begin at 1")
	}
	r := &reader{log: l, opts: opts, cursor: opts.From - 1, bytes: l.opts.BatchBytes}
	if opts.From > opts.To {
		r.ended = true
		return r, nil
	}
	kind := "replay"
	if opts.HeadersOnly {
		kind = "check"
	}
	p, err := l.newPuller(kind, l.replays, l.opts.Batch, replayConfig(l, opts))
	if err != nil {
		return nil, err
	}
	r.pull = p
	if err := r.connect(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func replayConfig(l *Store, opts feed.ReadOptions) jetstream.ConsumerConfig {
	cfg := l.consumerConfig(opts.Filters)
	cfg.HeadersOnly = opts.HeadersOnly
	if opts.LastPerSubject {
		cfg.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
		if len(opts.Filters) == 0 { // the server wants the filter said
			cfg.FilterSubject, cfg.FilterSubjects = ">", nil
		}
	}
	return cfg
}

// reader is one replay.
type reader struct {
	log     *Store
	opts    feed.ReadOptions
	pull    *puller // nil when there is nothing to read
	pending uint64
	bytes   int  // of a request
	bounded bool // by Request

	cursor   uint64 // the last sequence that was returned
	opened   bool   // pending is known
	nothing  bool   // the consumer was made with nothing pending
	ended    bool   // everything up to opts.To was read
	final    feed.State
	finished bool // ended, and final is set
	closed   bool
	failures int // consumers lost since the last event
	unproven int // times in a row that the leader had more than the consumer
}

// Pending implements feed.Reader.
func (r *reader) Pending() uint64 { return r.pending }

// Close implements feed.Reader.
func (r *reader) Close() {
	if r.pull != nil {
		r.pull.close()
		r.pull = nil
	}
	r.closed = true
}

var errReaderClosed = errors.New("jetstore: the reader is closed")

// eventCost is what an event takes in memory besides its payload, from the connection to the frame,
// as an estimate: a request is for as many events as have room beside it.
const eventCost = 512

// batch is how many events a request is for.
func (r *reader) batch() int { return min(r.log.opts.Batch, max(r.bytes/eventCost, 1)) }

// Request implements feed.Reader. What the server sends upon it waits in the puller.
func (r *reader) Request(bytes int) bool {
	r.bytes, r.bounded = max(min(bytes, r.log.opts.BatchBytes), 1), true
	if r.pull == nil || r.closed || r.ended || r.nothing {
		return false
	}
	if r.pull.consumer == "" { // the next fetch makes one, and then requests
		return true
	}
	if !r.pull.asking() && r.pull.ask(r.log.ctx, r.batch(), r.bytes) != nil {
		r.pull.left = 0 // the next fetch requests again, and reports
	}
	return true
}

// tooLarge reports that the next event does not fit into what Request has allowed.
func (r *reader) tooLarge() error {
	return &feed.LargeEventError{Bytes: int(r.pull.conn.nc.MaxPayload()) + eventCost}
}

// Next implements feed.Reader. An error other than io.EOF leaves the reader as it was
// before: what was read already is read again by the next call.
func (r *reader) Next(ctx context.Context) (feed.Batch, error) {
	if r.closed {
		return feed.Batch{}, errReaderClosed
	}
	if r.finished {
		return feed.Batch{State: r.final}, io.EOF
	}
	events, err := r.collect(ctx)
	if _, large := errors.AsType[*feed.LargeEventError](err); large {
		return feed.Batch{}, err // the consumer waits with it
	}
	if err != nil {
		r.rewind()
		return feed.Batch{}, err
	}
	state, err := r.log.State(ctx)
	if err != nil {
		r.rewind()
		return feed.Batch{}, err
	}
	return r.commit(events, state)
}

func (r *reader) rewind() {
	if r.pull != nil {
		r.ended = false
		r.pull.drop()
	}
}

func (r *reader) commit(events []feed.Event, state feed.State) (feed.Batch, error) {
	if r.ended {
		r.finished, r.final = true, state
		if r.pull != nil {
			r.pull.drop() // others may wait for the room
		}
	}
	batch := feed.Batch{Events: events, State: state}
	if len(events) == 0 {
		return batch, io.EOF
	}
	r.cursor = events[len(events)-1].Seq
	return batch, nil
}

// collect returns the next events, or none when the replay has ended.
func (r *reader) collect(ctx context.Context) ([]feed.Event, error) {
	for !r.ended {
		if err := r.connect(ctx); err != nil {
			return nil, err
		}
		events, drained, err := r.fetch(ctx)
		r.nothing = false
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			r.broken(err)
		}
		if len(events) == 0 && r.bounded && r.pull.single {
			return nil, r.tooLarge()
		}
		if drained && !r.ended {
			if err := r.prove(ctx, after(events, r.cursor)); err != nil {
				return nil, err
			}
		}
		if len(events) > 0 {
			return events, nil
		}
	}
	return nil, nil
}

func after(events []feed.Event, cursor uint64) uint64 {
	if n := len(events); n > 0 {
		return events[n-1].Seq
	}
	return cursor
}

// connect makes a consumer when there is none.
func (r *reader) connect(ctx context.Context) error {
	if r.pull.consumer != "" {
		return nil
	}
	if r.failures > 1 { // a first failure is healed at once
		if err := pause(ctx, backoff(r.failures-2), r.pull.conn.link.changed()); err != nil {
			return err
		}
	}
	err := r.log.retry(ctx, func() error {
		made, err := r.pull.open(ctx, r.cursor+1, r.create())
		if err != nil {
			return err
		}
		if !r.opened {
			r.opened, r.pending = true, made.NumPending
		}
		r.nothing = made.NumPending == 0
		return nil
	})
	if err != nil && permanent(err) && !errors.Is(err, feed.ErrNoStream) {
		err = r.log.refused(ctx, err)
	}
	return err
}

// create returns how the replay's consumers are made: those that cost the server more queue apart.
func (r *reader) create() createFunc {
	switch {
	case r.opts.HeadersOnly:
		return r.log.creates.now
	case r.opts.LastPerSubject:
		return r.log.creates.scanned(r.opts.Subjects)
	}
	return r.log.creates.queued
}

// broken gives up a consumer that has failed.
func (r *reader) broken(cause error) {
	r.failures++
	r.pull.drop()
	r.pull.silence = r.log.opts.Heartbeat * 5 / 2 << min(r.failures-1, 3) // it may be load
	if r.failures >= maxSilent {
		r.log.logRetry(cause)
	}
	r.log.opts.Logger.Debug("a replay gets another consumer", "after", r.cursor, "error", cause)
}

// fetch reads events until the request under way has brought all that it will, or the
// consumer says that nothing is left. Events before an error are good.
func (r *reader) fetch(ctx context.Context) (events []feed.Event, drained bool, err error) {
	if r.nothing { // no need to wait for the consumer to say it again
		return nil, true, nil
	}
	if !r.pull.asking() {
		if err := r.pull.ask(ctx, r.batch(), r.bytes); err != nil {
			return nil, false, err
		}
	}
	for {
		d, err := r.pull.next(ctx)
		switch {
		case err != nil:
			return events, false, err
		case d.kind == idle:
			return events, true, nil
		case d.kind == over, d.kind == expired:
			return events, false, nil
		}
		r.failures, r.unproven = 0, 0
		if r.wanted(d.event.Seq) {
			if events == nil {
				events = make([]feed.Event, 0, min(d.pending+1, uint64(r.pull.left)+1)) //nolint:gosec // a count that ends at zero
			}
			events = append(events, d.event)
		}
		r.ended = d.event.Seq >= r.opts.To
		if r.ended || d.pending == 0 {
			return events, d.pending == 0, nil
		}
		if !r.pull.asking() {
			return events, false, nil
		}
	}
}

// wanted drops what lies outside of the range: the latest of a subject may lie before From,
// or have been returned by an earlier consumer.
func (r *reader) wanted(seq uint64) bool { return r.cursor < seq && seq <= r.opts.To }

// maxUnproven is how often the same consumer is waited for when the leader has more.
const maxUnproven = 3

// prove ends the replay when the leader, too, has nothing between cursor and opts.To.
func (r *reader) prove(ctx context.Context, cursor uint64) error {
	more, err := r.leaderHasMore(ctx, cursor)
	if err != nil {
		return err
	}
	if !more {
		r.ended = true
		return nil
	}
	if r.unproven++; r.unproven >= maxUnproven {
		r.broken(fmt.Errorf("it has nothing after %d, and the leader has", cursor))
		r.unproven = 0
	}
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

// leaderHas looks for a message of the range that should still come. With LastPerSubject, a
// message that a later one beyond the range has replaced is none.
func (r *reader) leaderHas(ctx context.Context, cursor uint64, filter string) (bool, error) {
	for {
		msg, found, err := r.log.get(ctx, msgQuery{Seq: cursor + 1, NextFor: filter})
		if err != nil || !found || msg.Seq > r.opts.To {
			return false, err
		}
		if !r.opts.LastPerSubject {
			return true, nil
		}
		last, found, err := r.log.get(ctx, msgQuery{LastFor: msg.Subject})
		if err != nil || found && last.Seq <= r.opts.To {
			return true, err
		}
		cursor = msg.Seq
	}
}
