package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemark/tidemark/internal/subject"
)

// SubscribeOptions configure a subscription: its events and its start.
type SubscribeOptions struct {
	// Filters are subjects, wildcards allowed; those that another one covers are dropped.
	// Empty means everything in the stream.
	Filters []string
	Start   Start
	// ReplayFromStore reads the events between the start and now from the store, though the
	// window may have them: every resume has a consumer of its own.
	ReplayFromStore bool
	// MaxLastSubjects bounds the subjects of a start at the latest event of each; no bound when
	// zero. See [Feed.LastSubjects].
	MaxLastSubjects int
	// UntilEnd ends the subscription with ErrComplete once all of its subjects are complete and every event
	// was returned. A subject is complete while its latest event is an Event.End. Filters must be
	// subjects without wildcards.
	UntilEnd bool
}

// StartInfo is how a subscription began.
type StartInfo struct {
	// ID is the id that a client should keep until the next one: the position that it named
	// while a gap is still to be sent (so that a client cut off before the gap gets it
	// when it resumes), else Position. Empty where the named position cannot be read.
	ID       string
	Position Position // where delivery begins: with the first event after it
	Resumed  bool     // delivery continues at the position that the client named
	Pending  uint64   // matching events between Position and now; an estimate from the store
	Gap      *Gap     // events that cannot be delivered; nil for none
}

// Subscribe begins a subscription.
//
//   - It blocks until the feed is ready and, where the start requires it, until the store has answered.
//   - It fails when ctx ends, when the feed has stopped (ErrClosed), for filters that
//     [subject.CheckFilter] rejects, and with a [TooManySubjectsError].
//   - The caller closes the Subscription.
func (f *Feed) Subscribe(ctx context.Context, opts SubscribeOptions) (*Subscription, error) {
	if f.isDone() { // checked before ready, which stays closed
		return nil, ErrClosed
	}
	select {
	case <-f.ready:
	case <-f.done:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s, r, err := f.register(opts, false)
	if err != nil {
		return nil, err
	}
	if r.source == sourceWindow && !s.startFromWindow(r) {
		r.source = sourceLeader
	}
	if r.source == sourceLeader {
		if r.start.Last() {
			err = s.startFromLatest(ctx, r.start, opts.MaxLastSubjects)
		} else {
			err = s.startFromStore(ctx, r, opts.ReplayFromStore)
		}
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	s.finishStart(r.named())
	s.ends.started(opts.Start, s.startInfo)
	return s, nil
}

// TrySubscribe is Subscribe without blocking. It returns nil where the store must answer first.
func (f *Feed) TrySubscribe(opts SubscribeOptions) (*Subscription, error) {
	if f.isDone() {
		return nil, ErrClosed
	}
	if !f.isReady() {
		return nil, nil
	}
	s, r, err := f.register(opts, true)
	if s == nil || err != nil {
		return nil, err
	}
	if r.source == sourceWindow && !s.startFromWindow(r) {
		s.Close()
		return nil, nil
	}
	s.finishStart(r.named())
	s.ends.started(opts.Start, s.startInfo)
	return s, nil
}

// register resolves the start and adds a subscription in the state Starting, placed there. With
// fromMemory it returns nil where the leader must answer first.
func (f *Feed) register(opts SubscribeOptions, fromMemory bool) (*Subscription, resolved, error) {
	for _, filter := range opts.Filters {
		if err := subject.CheckFilter(filter); err != nil {
			return nil, resolved{}, err
		}
	}
	s := &Subscription{feed: f, filters: subject.MergeFilters(opts.Filters)}
	if opts.UntilEnd {
		if len(s.filters) == 0 || wild(s.filters) {
			return nil, resolved{}, errors.New("a subscription that ends has subjects without wildcards")
		}
		s.ends = newEnds(s.filters)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r := resolveStart(opts.Start, f.viewLocked())
	if r.source == sourceWindow && opts.ReplayFromStore {
		r.source = sourceLeader
	}
	if r.source == sourceLeader && fromMemory {
		return nil, r, nil
	}
	f.subs.Add(s)
	s.replay.rewinds = f.reused.times
	s.placeLocked(r.at)
	s.startInfo = StartInfo{ID: r.requested, Position: r.at.position(), Gap: r.gap}
	return s, r, nil
}

// startFromWindow fills in the StartInfo of a start that the window covers. It returns false where
// the window does not cover it any more.
func (s *Subscription) startFromWindow(r resolved) bool {
	n, covered := s.countInWindow()
	if !covered {
		return false
	}
	s.feed.fromWindow.Add(1)
	gap := s.gapAfterStart(r.requested)
	s.startInfo = StartInfo{ID: r.requested, Position: r.at.position(), Resumed: r.resumed(gap), Pending: n, Gap: gap}
	return true
}

// startFromStore begins at a place that requires the answer of the leader.
func (s *Subscription) startFromStore(ctx context.Context, r resolved, always bool) error {
	if r.named() {
		s.feed.fromStore.Add(1)
	} else {
		s.ignoreDeletions()
	}
	state, err := s.verify(ctx, r.at.position())
	if err != nil {
		return err
	}
	s.feed.mu.RLock()
	view := s.feed.viewLocked()
	s.feed.mu.RUnlock()
	view.leader = &state
	if r.start.kind == startTime {
		if view.seqAt, err = s.feed.store.SeqAt(ctx, r.start.time); err != nil {
			return err
		}
	}
	named := r.named()
	r = resolveStart(r.start, view)
	var gap *Gap
	if named {
		if r.gap == nil {
			s.place(r.at)
		}
		gap, err = s.openReplay(ctx, r, state)
	} else {
		// Events that were deleted before the client came are not missing for it: a
		// client that fetches everything again upon a gap would do so without end.
		s.replay.announced = newAnnounced(state)
		s.place(r.at)
		if n, covered := s.countInWindow(); covered && !always {
			gap = s.gapAfterStart(r.requested)
			s.startInfo = StartInfo{ID: r.requested, Position: r.at.position(), Pending: n, Gap: gap}
			return nil
		}
		gap, err = s.replayFrom(ctx, r.at)
	}
	if err != nil {
		return err
	}
	s.startInfo = StartInfo{ID: r.requested, Position: s.positionLocked(), Resumed: r.resumed(gap), Gap: gap}
	if s.replay.reader != nil {
		s.startInfo.Pending = s.replay.reader.Pending()
	} else if gap != nil {
		s.startInfo.Pending, _ = s.countInWindow()
	}
	return nil
}

// startFromLatest begins with the latest event of each subject.
func (s *Subscription) startFromLatest(ctx context.Context, start Start, maxSubjects int) error {
	s.ignoreDeletions()
	n, err := s.feed.LastSubjects(ctx, s.filters, maxSubjects)
	if err != nil {
		return err
	}
	s.replay.subjects = max(n, 1)
	for {
		opened, err := s.openLatest(ctx, start)
		if err != nil || opened {
			return err
		}
		if err := s.wait(ctx, time.After(retryPause)); err != nil {
			return err
		}
	}
}

// openLatest opens the replay of the latest events and reads the first of them: the start lies before
// it, so that a client cut off in between gets more rather than less. Where reading fails it returns
// false: there is no position yet behind which another replay could deliver them.
func (s *Subscription) openLatest(ctx context.Context, start Start) (opened bool, err error) {
	state, err := s.verify(ctx, Position{})
	if err != nil {
		return false, err
	}
	r := resolveStart(start, streamView{leader: &state})
	s.place(r.at)
	s.startInfo = StartInfo{ID: r.requested, Position: r.at.position()}
	if r.source == sourceNone {
		return true, nil
	}
	if err := s.openReader(ctx, state, ReadOptions{From: max(state.FirstSeq, 1), To: state.LastSeq, LastPerSubject: true}); err != nil {
		return false, err
	}
	s.startInfo.Pending = s.replay.reader.Pending()
	seq, err := s.replay.peek(ctx)
	if err != nil {
		s.feed.opts.Logger.Debug("feed: replay of the latest events failed; retrying", "error", err)
		return false, ctx.Err()
	}
	if seq > 0 && s.same(s.replay.peeked.State.incarnation()) {
		r.at.seq = seq - 1
		s.place(r.at)
		s.startInfo.Position = r.at.position()
		s.startInfo.ID = s.startInfo.Position.String()
	}
	return true, ctx.Err()
}

func (s *Subscription) place(at place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.placeLocked(at)
}

// ignoreDeletions makes earlier deletions no gap: the subscription begins without a claim to have
// anything.
func (s *Subscription) ignoreDeletions() {
	s.feed.mu.RLock()
	defer s.feed.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.announced = s.feed.window.deletions.round
}

// countInWindow counts the matching events between the cursor and the present end of the window, a
// stretch at a time.
func (s *Subscription) countInWindow() (n uint64, covered bool) {
	r := newWindowReader(s.filters)
	count, frames, end, covered := s.copyBehind(r, 0)
	for len(frames) > 0 && covered {
		count += r.set.count(frames)
		at := frames[len(frames)-1].Seq
		if at >= end {
			break
		}
		_, frames, _, covered = s.copyBehind(r, at)
	}
	return uint64(count), covered //nolint:gosec // a count
}

// copyBehind returns a stretch of frames after the cursor and after at, and the end of the window. Without
// wildcards it returns the number of matching frames instead. covered is false where the window does not
// continue the cursor.
func (s *Subscription) copyBehind(r *windowReader, at uint64) (n int, frames []*Frame, end uint64, covered bool) {
	s.feed.expireDue()
	s.feed.mu.RLock()
	defer s.feed.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.coveredLocked() {
		return 0, nil, 0, false
	}
	w := s.feed.window
	if !r.set.wildcard {
		return w.countOf(s.cursor, r.set.filters), nil, w.high, true
	}
	frames, _ = w.copyAfter(r.buf, max(s.cursor, at))
	return 0, frames, w.high, true
}
