package jetstore

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/tidemark/tidemark/internal/backoff"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jsapi"
	"github.com/tidemark/tidemark/internal/streamdef"
)

// Follow implements feed.Store. It runs on the caller's goroutine, and reads ahead by
// Options.FollowBatch and FollowBytes at most. When ctx ends, so does the sequence, without
// an error. It waits for a stream that does not exist, and reports that through Contact.
func (s *Store) Follow(ctx context.Context, opts feed.FollowOptions) iter.Seq2[feed.Event, error] {
	return func(yield func(feed.Event, error) bool) {
		p, err := s.newPuller("tail", s.main, s.opts.FollowBatch, s.opts.consumerConfig(nil))
		if err != nil {
			yield(feed.Event{}, err)
			return
		}
		defer p.close()
		p.tail = true
		f := &follower{store: s, opts: opts, yield: yield, pull: p, next: max(opts.From, 1), lag: lagCheck{allowed: lagInterval}}
		if read := opts.Read; read.Seq > 0 {
			f.marks.add(read.Seq, read.Time.UnixNano())
		}
		if err := f.run(ctx); err != nil && ctx.Err() == nil {
			yield(feed.Event{}, err)
		}
	}
}

// follower is one Follow under way.
type follower struct {
	store *Store
	opts  feed.FollowOptions
	yield func(feed.Event, error) bool
	pull  *puller

	state   followState
	next    uint64 // the sequence that comes next
	marks   marks
	shorter shorter
	lag     lagCheck

	failures int   // since the consumer delivered an event or a heartbeat
	silent   int   // consumers in a row that delivered nothing
	noCause  error // why there is no consumer, while the leader is read
}

// errStopped is the end of a follower whose caller wants no more events.
var errStopped = errors.New("the caller has stopped")

// maxSilent consumers in a row without a delivery are an outage. Each could be created, so that the
// leader answers, but its pull requests are refused, or it is deleted or silent at once. The first
// ones are replaced without notice, because a server that stops causes several of them.
const maxSilent = 3

// run returns nil when the caller has stopped.
func (f *follower) run(ctx context.Context) (err error) {
	for f.state != followEnded {
		switch f.state {
		case followStarting, followConnecting:
			err = f.connect(ctx)
		case followDirect:
			err = f.readDirect(ctx)
		default:
			err = f.deliver(ctx)
		}
		if err != nil {
			err = f.decide(ctx, err)
		}
	}
	return err
}

// decide moves the follower after a failure: it is the only place where a follower ends, replaces its
// consumer, or reads without one. The error is that of a follower that has ended.
func (f *follower) decide(ctx context.Context, cause error) error {
	if ended, err := f.ending(ctx, cause); ended {
		f.move(followEnded)
		return err
	}
	l := f.store.leader
	switch f.state {
	case followWaiting, followDelivering:
		f.failures++
		f.store.counts.tails.Add(1)
		l.log.Debug("jetstream: consumer of the tail failed; creating another", "next", f.next, "error", cause)
		if f.state == followWaiting {
			if f.silent++; f.silent >= maxSilent {
				l.logRetry(cause)
				f.contact(cause)
			}
		}
		f.move(followConnecting)
	case followDirect:
		f.contact(f.noCause)
		f.move(followConnecting)
	default:
		f.failures++
		l.logRetry(cause)
		if f.state == followConnecting && !errors.Is(cause, streamdef.ErrUnsuitable) {
			f.noCause = cause
			f.move(followDirect)
			return nil
		}
		f.contact(cause)
	}
	if f.failures > 1 { // there is no pause after the first failure
		// Its only error is the end of ctx, which the next attempt reports.
		_ = backoff.Pause(ctx, backoff.Delay(f.failures-2), f.store.main.watcher.Changed())
	}
	return nil
}

// ending reports that a failure ends the follower, and with which error.
func (f *follower) ending(ctx context.Context, cause error) (ended bool, err error) {
	if errors.Is(cause, errStopped) {
		return true, nil
	}
	if ctx.Err() != nil {
		return true, context.Cause(ctx)
	}
	if loss, ok := errors.AsType[*feed.LossError](cause); ok {
		return true, loss
	}
	err = f.store.main.watcher.Err()
	return err != nil, err
}

func (f *follower) contact(err error) {
	if f.opts.Contact != nil {
		f.opts.Contact(err)
	}
}

// connect creates a consumer and then requests the state of the stream. In this order a stream that is
// recreated in between is noticed: either its epoch is seen, or the consumer is deleted with it.
func (f *follower) connect(ctx context.Context) error {
	if f.state == followStarting {
		if err := f.checkSuitable(ctx); err != nil {
			return err
		}
	}
	if err := f.open(ctx); err != nil {
		if permanent(err) && !errors.Is(err, feed.ErrNoStream) {
			return f.store.leader.explainRefusal(ctx, err)
		}
		return err
	}
	info, err := f.info(ctx)
	if err != nil {
		return err
	}
	if err := f.checkContinuity(ctx, stateOf(info)); err != nil {
		return err
	}
	if err := f.request(ctx); err != nil {
		return err
	}
	if f.state == followStarting {
		f.store.leader.logAdvice(info)
	}
	f.move(followWaiting)
	if f.silent < maxSilent { // else the first delivery ends the outage
		f.contact(nil)
	}
	return nil
}

// checkSuitable refuses a stream that cannot be followed. It runs before a consumer is created, which
// would delete events of a stream with another retention.
func (f *follower) checkSuitable(ctx context.Context) error {
	info, err := f.info(ctx)
	if err != nil {
		return err
	}
	return streamdef.CheckRetention(f.store.opts.Stream, info.Config.Retention)
}

// minAttemptTimeout is how long requests of the tail wait for their answer at first, and after each
// three failures twice as long, up to Options.RequestTimeout. The server may have put the consumer
// on a replica that has just stopped, which it notices late, and may choose better next time.
const minAttemptTimeout = 300 * time.Millisecond

func (f *follower) attemptTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := min(minAttemptTimeout<<min(f.failures/3, 10), f.store.opts.RequestTimeout)
	return context.WithTimeoutCause(ctx, timeout, jsapi.ErrNoAnswer)
}

func (f *follower) open(ctx context.Context) error {
	ctx, cancel := f.attemptTimeout(ctx)
	defer cancel()
	_, err := f.pull.open(ctx, f.next, f.store.creator.now)
	return err
}

func (f *follower) info(ctx context.Context) (*jsapi.StreamInfo, error) {
	ctx, cancel := f.attemptTimeout(ctx)
	defer cancel()
	return f.store.leader.info(ctx)
}

func (f *follower) get(ctx context.Context, query msgQuery) (msg storedMsg, found bool, err error) {
	ctx, cancel := f.attemptTimeout(ctx)
	defer cancel()
	return f.store.leader.getOnce(ctx, query)
}

func (f *follower) request(ctx context.Context) error {
	return f.pull.request(ctx, f.store.opts.FollowBatch, f.store.opts.FollowBytes)
}

// deliver yields events until the consumer fails, or the caller stops.
func (f *follower) deliver(ctx context.Context) error {
	for {
		d, err := f.pull.next(ctx)
		if err != nil {
			return err
		}
		f.received(d)
		if d.kind == delivered {
			if err := f.pass(d.event); err != nil {
				return err
			}
		}
		if f.endMayBeDeleted(d) {
			if err := f.passDeletedEnd(ctx); err != nil {
				return err
			}
		}
		if err := f.checkLag(d); err != nil {
			return err
		}
		if !f.pull.requested() {
			if err := f.request(ctx); err != nil {
				return err
			}
		}
	}
}

// received records that the consumer delivers.
func (f *follower) received(d delivery) {
	switch d.kind {
	case delivered, idle:
		f.failures = 0
	case expired:
	default:
		return
	}
	if f.state == followDelivering {
		return
	}
	if f.silent >= maxSilent { // the outage has ended
		f.contact(nil)
	}
	f.move(followDelivering)
}

// pass yields an event that was not yielded before.
func (f *follower) pass(ev feed.Event) error {
	if ev.Seq < f.next {
		return nil
	}
	f.next = ev.Seq + 1
	f.marks.add(ev.Seq, ev.Time.UnixNano())
	if !f.yield(ev, nil) {
		return errStopped
	}
	return nil
}
