package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Timing of the comparison of a window with its stream.
const (
	// pollPause is the pause between two requests of the state from the stream's leader.
	pollPause = time.Second
	// leaderTimeout is after how long without an answer the leader counts as out of reach.
	leaderTimeout = 5 * time.Second
	// reachTimeout is for how long the tail may be behind a state before that is given up.
	reachTimeout = 500 * time.Millisecond
)

// watch starts the goroutines that poll the stream and announce gaps. They run until ctx ends or stop is
// called, which waits for them.
func (f *Feed) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { every(ctx, pollPause, f.poll) })
	watch.Go(func() { every(ctx, gapPause, func(context.Context) { f.announceGaps() }) })
	return func() { cancel(); watch.Wait() }
}

func every(ctx context.Context, pause time.Duration, do func(context.Context)) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(ctx)
		}
	}
}

// poll requests the state of the stream from its leader, and removes events from the window that the
// stream no longer has. A leader that does not answer leaves deleted events in the window, so that counts as
// an outage.
func (f *Feed) poll(ctx context.Context) {
	if !f.isReady() {
		f.pollReady(ctx)
		return
	}
	bounded, cancel := context.WithTimeout(ctx, leaderTimeout)
	state, err := f.store.State(bounded)
	cancel()
	if ctx.Err() != nil {
		return
	}
	f.setSilent(err)
	if errors.Is(err, ErrNoStream) {
		f.streamMissing()
	}
	if err != nil {
		return
	}
	f.verification.noStream = 0
	f.pollMirrorWait(state)
	f.clock.set(state.Time)
	f.reconcile(ctx, state)
}

// pollReady opens the feed where the stream lost its end while the window was being filled: the end
// that the tail waits for may never come.
func (f *Feed) pollReady(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, leaderTimeout)
	state, err := f.store.State(bounded)
	cancel()
	if err != nil {
		return
	}
	f.mu.RLock()
	same, high := f.same(state.incarnation()), f.window.high
	f.mu.RUnlock()
	if same {
		f.markReady(state.LastSeq, high)
	}
}

// missingPolls is how often in a row a stream must be missing to count as deleted. A server that has
// just started may not have it yet.
const missingPolls = 2

// streamMissing empties the window once the stream was deleted, and with it all its events.
func (f *Feed) streamMissing() {
	v := &f.verification
	if v.noStream++; v.noStream < missingPolls {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removedLocked(RemovedDeleted, f.window.trim(f.window.high+1))
	f.floor.Store(f.window.high + 1) // frames that left the window for its bounds may wait for clients
	f.ledger.known = false
}

// reconcile removes events from the window that the stream no longer has: those before its first
// sequence, expired events, and those that later events of a subject have replaced. Where the number of
// deleted sequences shows that other events were deleted, or may have been, the stream is read.
func (f *Feed) reconcile(ctx context.Context, state State) {
	reached := f.awaitHigh(ctx, state.LastSeq)
	result, ok := f.applyState(state, reached)
	if !ok || ctx.Err() != nil {
		return
	}
	v := &f.verification
	if result == unclear && f.countIsEven(ctx, state) {
		result = even
	}
	if result == even && !v.guessDue() || !v.due(state) {
		return
	}
	f.readAgainst(ctx, state)
}

// applyState follows the state without reading. It does nothing where the state is of another
// incarnation, which the tail will find.
func (f *Feed) applyState(state State, reached bool) (result comparison, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.same(state.incarnation()) {
		return even, false
	}
	w := f.window
	w.setLimits(state)
	f.first, f.anyDeleted = state.FirstSeq, state.Deleted > 0
	f.removedLocked(RemovedTrimmed, w.trim(state.FirstSeq))
	f.expireLocked()
	if n := w.supersede(state.LastSeq); n > 0 {
		f.removedLocked(RemovedSuperseded, n)
		f.verification.guessed = f.verification.guessed || w.limits.perSubject > 1
	}
	f.setFloorLocked()
	if !reached {
		return unclear, false
	}
	return f.ledger.compare(w, state), true
}

// reach is a sequence that is waited for.
type reach struct {
	seq  uint64
	done chan struct{}
}

// awaitHigh waits, for a bounded time, until the window has reached seq. One goroutine may wait.
func (f *Feed) awaitHigh(ctx context.Context, seq uint64) bool {
	f.mu.Lock()
	if f.window.high >= seq {
		f.mu.Unlock()
		return true
	}
	wanted := &reach{seq, make(chan struct{})}
	f.wanted = wanted
	f.mu.Unlock()
	timer := time.NewTimer(reachTimeout)
	defer timer.Stop()
	select {
	case <-wanted.done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted = nil
	return false
}

// reachedLocked is called when the window has moved on.
func (f *Feed) reachedLocked() {
	if f.wanted != nil && f.window.high >= f.wanted.seq {
		close(f.wanted.done)
		f.wanted = nil
	}
}

// setSilent records whether the leader answers.
func (f *Feed) setSilent(err error) {
	lost := err
	if err != nil {
		lost = fmt.Errorf("the stream's leader does not answer; deleted events may still be delivered: %w", err)
	}
	f.mu.Lock()
	changed := f.leaderContact.set(lost)
	f.mu.Unlock()
	switch {
	case changed && err != nil:
		f.opts.Logger.Warn("feed: stream leader does not answer; deleted events may still be delivered", "error", err)
	case changed:
		f.opts.Logger.Info("feed: stream leader answers again")
	}
}
