package feed

import (
	"context"
	"errors"
	"time"
)

// Run follows the stream until ctx ends, and returns why it ended. Call it once.
//
//   - A stream that does not exist, or no longer exists, is waited for.
//   - A tail that ends with an error is restarted after a pause. Until then Status.Lost has the
//     reason, and subscriptions stay open and wait.
func (f *Feed) Run(ctx context.Context) error {
	defer f.stop()
	defer f.watch(ctx)()
	tails := restart{feed: f}
	for begun := false; ; {
		state, err := f.awaitState(ctx)
		if err != nil {
			return err
		}
		next := f.window.high + 1 // only this goroutine writes it
		if !begun {
			next, begun = f.begin(state), true
		}
		started := time.Now()
		err = f.follow(ctx, next, state)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && tails.pause(ctx, err, time.Since(started)) != nil {
			return context.Cause(ctx)
		}
	}
}

// stop wakes all subscriptions: they return ErrClosed.
func (f *Feed) stop() {
	close(f.done)
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, s := range f.subs.All() {
		s.mu.Lock()
		s.wakeLocked()
		s.mu.Unlock()
	}
}

// Bounds of the pause between two requests for a stream that does not exist. The pause begins short, because
// the stream may be created at this moment, and doubles.
const (
	firstPoll = 20 * time.Millisecond
	lastPoll  = time.Second
)

// awaitState requests the state of the stream until it exists or ctx ends.
func (f *Feed) awaitState(ctx context.Context) (State, error) {
	for poll := firstPoll; ; poll = min(2*poll, lastPoll) {
		state, err := f.store.State(ctx)
		if ctx.Err() != nil {
			return State{}, context.Cause(ctx)
		}
		if err == nil {
			return state, nil
		}
		f.setLost(err)
		select {
		case <-ctx.Done():
			return State{}, context.Cause(ctx)
		case <-time.After(poll):
		}
	}
}

// begin places the window so that the tail fills it with stored events, and
// returns the sequence to follow from.
func (f *Feed) begin(state State) (next uint64) {
	next = state.LastSeq + 1
	if !f.opts.NoPreload {
		next = max(state.FirstSeq, 1, next-min(next, uint64(f.opts.WindowEvents))) //nolint:gosec // a bound above zero
	}
	f.mu.Lock()
	f.incarnation, f.first = state.incarnation(), state.FirstSeq
	f.window.reset(next - 1)
	f.window.setLimits(state)
	f.anyDeleted, f.ledger = state.Deleted > 0, ledger{}
	f.setFloorLocked()
	f.clock.set(state.Time)
	f.mu.Unlock()
	return next
}

// errFollowEnded reports a Store that ended Follow without an error.
var errFollowEnded = errors.New("the store ended the sequence of events without an error")

// follow publishes events until the store cannot continue at the next sequence, and resets the feed
// then. It returns an error where the tail must be restarted.
func (f *Feed) follow(ctx context.Context, next uint64, state State) error {
	f.markReady(state.LastSeq, next-1)
	opts := FollowOptions{From: next, Epoch: f.epoch, Created: f.created, Read: f.read, Contact: f.setLost}
	for ev, err := range f.store.Follow(ctx, opts) {
		if loss, ok := errors.AsType[*LossError](err); ok {
			f.continueAfterLoss(loss)
			return nil
		}
		switch {
		case err != nil:
			return err
		case ev.Deleted && ev.Seq < next: // known already
			continue
		case ev.Deleted:
			f.skipDeleted(next, ev.Seq)
			next = ev.Seq + 1
			f.markReady(state.LastSeq, ev.Seq)
			continue
		case ev.Seq > next:
			f.skipDeleted(next, ev.Seq-1)
		}
		f.publish(ev)
		next, f.read = ev.Seq+1, Mark{ev.Seq, ev.Time}
		f.markReady(state.LastSeq, ev.Seq)
	}
	return errFollowEnded
}

// markReady makes the feed ready once the window has reached the end that the stream had at the start.
func (f *Feed) markReady(last, reached uint64) {
	if !f.isReady() && reached >= last {
		f.opening.Do(func() { close(f.ready) })
	}
}

// continueAfterLoss resets the feed to the sequence at which the tail continues; see gapAt for the reasons.
func (f *Feed) continueAfterLoss(loss *LossError) {
	_, seq := gapAt(place{f.incarnation, loss.From - 1}, "", loss.State)
	if loss.Reason == NewEpoch && loss.State.Epoch == f.epoch {
		f.opts.Logger.Error("feed: stream was created again with the same epoch; clients that reconnect get no gap",
			"epoch", f.epoch, "remedy", "change tidemark.epoch in its metadata")
	}
	f.opts.Logger.Warn("feed: tail cannot continue at its position; clients get a gap", "error", loss, "continues_after", seq)
	if loss.lostEnd() || loss.Reason == NewEpoch {
		f.read = lastMark(loss.State, seq)
	}
	f.reset(loss, seq)
}

// lastMark returns the mark of a stream's newest event, if a tail that continues after a sequence has passed it. With
// the mark, the tail detects that the stream loses its end again before it has read an event.
func lastMark(state State, after uint64) Mark {
	if state.LastTime.IsZero() || state.LastSeq > after {
		return Mark{}
	}
	return Mark{state.LastSeq, state.LastTime}
}
