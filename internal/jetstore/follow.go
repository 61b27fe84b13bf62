package jetstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// Follow implements feed.Store. It runs on the caller's goroutine, and reads ahead by
// Options.FollowBatch and FollowBytes at most. When ctx ends, so does the sequence, without
// an error. A stream that does not exist is waited for; Contact hears of it.
func (l *Store) Follow(ctx context.Context, opts feed.FollowOptions) iter.Seq2[feed.Event, error] {
	return func(yield func(feed.Event, error) bool) {
		p, err := l.newPuller("tail", carrier{l.nc, l.link}, l.opts.FollowBatch, l.consumerConfig(nil))
		if err != nil {
			yield(feed.Event{}, err)
			return
		}
		defer p.close()
		p.tail = true
		f := &follower{log: l, opts: opts, pull: p, next: max(opts.From, 1), probe: probe{patience: probePause}}
		if read := opts.Read; read.Seq > 0 {
			f.marks.add(read.Seq, read.Time.UnixNano())
		}
		if err := f.run(ctx, yield); err != nil && ctx.Err() == nil {
			yield(feed.Event{}, err)
		}
	}
}

// follower is one Follow under way.
type follower struct {
	log  *Store
	opts feed.FollowOptions
	pull *puller

	next     uint64 // the sequence that comes next
	reached  bool   // the stream was reached once
	marks    marks
	short    int       // see judgeShort
	shortAt  time.Time // since when it is so; zero while it is not
	failures int       // since the consumer was heard of
	silent   silence
	probe    probe
}

// run returns nil when the caller has had enough.
func (f *follower) run(ctx context.Context, yield func(feed.Event, error) bool) error {
	for {
		if more, err := f.connect(ctx, yield); !more || err != nil {
			return err
		}
		more, err := f.deliver(ctx, yield)
		if !more {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f.failures++
		f.abandoned(err)
		f.log.counts.tails.Add(1)
		f.log.opts.Logger.Debug("the tail gets another consumer", "next", f.next, "error", err)
	}
}

// connect makes a consumer at the next sequence, and retries all but what ends Follow.
func (f *follower) connect(ctx context.Context, yield func(feed.Event, error) bool) (more bool, err error) {
	for ferried := false; ; {
		changed := f.log.link.changed()
		if f.failures > 1 && !ferried { // a first failure is healed at once
			if err := pause(ctx, backoff(f.failures-2), changed); err != nil {
				return true, err
			}
		}
		err := f.try(ctx)
		if err == nil {
			f.connected()
			return true, nil
		}
		_, lost := errors.AsType[*feed.LossError](err)
		if lost || ctx.Err() != nil || f.log.link.err() != nil {
			return true, err
		}
		cause := err
		f.failures++
		f.log.logRetry(cause)
		if errors.Is(cause, errUnsuitable) {
			f.contact(cause)
			continue
		}
		if ferried, more, err = f.ferry(ctx, yield); !more || err != nil {
			return more, err
		}
		if !ferried {
			f.contact(cause)
		}
	}
}

func (f *follower) contact(err error) {
	if f.opts.Contact != nil {
		f.opts.Contact(err)
	}
}

// try makes a consumer and then looks at the stream. In this order a stream that is
// recreated in between is noticed: either its epoch is seen, or the consumer goes with it.
func (f *follower) try(ctx context.Context) error {
	if !f.reached {
		if err := f.checkSuitable(ctx); err != nil {
			return err
		}
	}
	if err := f.open(ctx); err != nil {
		if permanent(err) && !errors.Is(err, feed.ErrNoStream) {
			return f.log.refused(ctx, err)
		}
		return err
	}
	info, err := f.info(ctx)
	if err != nil {
		return err
	}
	state := info.state()
	if err := f.judge(ctx, state); err != nil {
		return err
	}
	if !f.reached {
		f.log.checkMirror(info)
		f.log.checkSchedules(info)
	}
	f.reached, f.short, f.shortAt = true, 0, time.Time{}
	f.probe.asked, f.probe.told = time.Now(), false
	return f.ask(ctx)
}

// firstPatience is how long requests of the tail wait for their answer at first, and after each
// three failures twice as long, up to Options.RequestTimeout. The server may have put the consumer
// on a replica that has just stopped, which it notices late, and may choose better next time.
const firstPatience = 300 * time.Millisecond

func (f *follower) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	patience := min(firstPatience<<min(f.failures/3, 10), f.log.opts.RequestTimeout)
	return context.WithTimeoutCause(ctx, patience, errNoAnswer)
}

func (f *follower) open(ctx context.Context) error {
	ctx, cancel := f.patient(ctx)
	defer cancel()
	_, err := f.pull.open(ctx, f.next, f.log.creates.now)
	return err
}

func (f *follower) info(ctx context.Context) (*streamInfo, error) {
	ctx, cancel := f.patient(ctx)
	defer cancel()
	return f.log.info(ctx)
}

func (f *follower) get(ctx context.Context, query msgQuery) (msg storedMsg, found bool, err error) {
	ctx, cancel := f.patient(ctx)
	defer cancel()
	return f.log.getOnce(ctx, query)
}

func (f *follower) ask(ctx context.Context) error {
	return f.pull.ask(ctx, f.log.opts.FollowBatch, f.log.opts.FollowBytes)
}

// foreign reports that the stream is another incarnation.
func (f *follower) foreign(state feed.State) bool {
	return f.opts.Epoch != "" && f.opts.Epoch != state.Epoch ||
		f.opts.Born != 0 && state.Born != 0 && f.opts.Born != state.Born
}

// judge returns a *feed.LossError when the stream cannot be continued at the next sequence.
func (f *follower) judge(ctx context.Context, state feed.State) error {
	switch {
	case f.foreign(state):
		return f.loss(feed.NewEpoch, state)
	case state.FirstSeq > f.next:
		return f.loss(feed.Trimmed, state)
	case state.LastSeq+1 < f.next:
		return f.judgeShort(ctx, state)
	}
	return f.judgeReused(ctx, state)
}

const (
	// shortLooks is how often in a row a mirror that is level with its origin must be found
	// shorter than the tail: it says that it is level before it has heard of its origin.
	shortLooks = 5
	// shortFor is for how long a replicated stream must be; see feed.State.
	shortFor = time.Second
)

// judgeShort handles a stream that ends before the tail. A mirror that was made anew is being
// filled again with the same events, which is waited for.
func (f *follower) judgeShort(ctx context.Context, state feed.State) error {
	if f.shortAt.IsZero() {
		f.shortAt = time.Now()
	}
	if state.Copy == feed.CopyLevel {
		f.short++
	} else {
		f.short = 0
	}
	var over bool
	switch {
	case state.Copy != feed.Original:
		over = f.short >= shortLooks
	case state.Replicated:
		over = time.Since(f.shortAt) >= shortFor
	default:
		over = true
	}
	if over {
		return f.lossAgain(ctx, feed.Future, state)
	}
	return fmt.Errorf("the stream has reached %d, and the tail was at %d", state.LastSeq, f.next-1)
}

// judgeReused finds numbers given again after the end of the stream was lost, while there was no
// contact, or before this follower. What was deleted before it was read shows by itself: the
// sequences that are yielded have a hole.
func (f *follower) judgeReused(ctx context.Context, state feed.State) error {
	last := f.marks.last
	if last.seq < state.FirstSeq || last.seq == 0 {
		return nil
	}
	msg, found, err := f.get(ctx, msgQuery{Seq: last.seq})
	if err == nil && found && msg.Time.UnixNano() != last.nanos {
		return f.lossAgain(ctx, feed.Possible, state)
	}
	return err
}

func (f *follower) loss(reason feed.Reason, state feed.State) error {
	return &feed.LossError{Reason: reason, From: f.next, State: state}
}

// lossAgain is the loss where the stream has lost its end.
func (f *follower) lossAgain(ctx context.Context, reason feed.Reason, state feed.State) error {
	return &feed.LossError{Reason: reason, From: f.next, State: state, Again: true, Kept: f.kept(ctx, state)}
}

// deliver yields events until the consumer fails, which err tells, or the caller has had
// enough.
func (f *follower) deliver(ctx context.Context, yield func(feed.Event, error) bool) (more bool, err error) {
	for {
		d, err := f.pull.next(ctx)
		if err != nil {
			return true, err
		}
		f.heard(d)
		if d.kind == delivered && !f.yield(d.event, yield) {
			return false, nil
		}
		if d.kind == idle {
			f.failures = 0
		}
		if f.endMayBeDeleted(d) && !f.passDeletedEnd(ctx, yield) {
			return false, nil
		}
		if err := f.compare(d); err != nil {
			return true, err
		}
		if f.pull.asking() {
			continue
		}
		if err := f.ask(ctx); err != nil {
			return true, err
		}
	}
}

func (f *follower) yield(ev feed.Event, yield func(feed.Event, error) bool) bool {
	f.failures = 0
	return f.pass(ev, yield)
}

func (f *follower) pass(ev feed.Event, yield func(feed.Event, error) bool) bool {
	if ev.Seq < f.next {
		return true
	}
	f.next = ev.Seq + 1
	f.marks.add(ev.Seq, ev.Time.UnixNano())
	return yield(ev, nil)
}
