package feed

import (
	"context"
	"fmt"
	"time"

	"github.com/tidemark/tidemark/internal/subject"
)

// SubscribeOptions say what a subscription gets, and from where.
type SubscribeOptions struct {
	// Filters are subjects, wildcards allowed; those that another one covers are dropped.
	// Empty means everything in the stream.
	Filters []string
	Start   Start
	// ReplayFromLog takes what lies between the start and now from the log, though the
	// window may hold it: every resume has a consumer of its own.
	ReplayFromLog bool
	// MaxLastSubjects bounds the subjects of a start at the latest event of each; no bound when
	// zero. See [Feed.LastSubjects].
	MaxLastSubjects int
}

// Opening is how a subscription began.
type Opening struct {
	// ID is what a client should remember until the next id: the position that it named
	// while a gap is still to be told (so that a client cut off before the gap hears of it
	// when it comes back), else Position. Empty when what it named cannot be read.
	ID       string
	Position Position // where delivery begins: with the first event after it
	Resumed  bool     // delivery continues at the position that the client named
	Pending  uint64   // matching events between Position and now; an estimate from the log
	Gap      *Gap     // what could not be redelivered; nil for nothing
}

// Subscribe begins a subscription. It blocks until the feed is ready and, where the start
// needs it, until the log has answered; it fails when ctx ends, when the feed stops, for
// filters that CheckFilter refuses, or with a [TooManySubjectsError].
func (f *Feed) Subscribe(ctx context.Context, opts SubscribeOptions) (*Subscription, error) {
	if err := f.awaitReady(ctx); err != nil {
		return nil, err
	}
	opts.Start = f.choose(opts.Start)
	s, err := f.subscription(opts)
	if err != nil {
		return nil, err
	}
	if err := s.begin(ctx, opts); err != nil {
		s.Close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	s.settle()
	s.finishOpening(opts.Start.named())
	return s, nil
}

// TrySubscribe is Subscribe for who cannot wait. It returns nil where the log must be asked.
func (f *Feed) TrySubscribe(opts SubscribeOptions) (*Subscription, error) {
	if f.isDone() {
		return nil, ErrClosed
	}
	select {
	case <-f.ready:
	default:
		return nil, nil
	}
	opts.Start = f.choose(opts.Start)
	switch opts.Start.kind {
	case startNew, startMalformed:
	case startSeq, startResume:
		if opts.ReplayFromLog {
			return nil, nil
		}
	default:
		return nil, nil
	}
	s, err := f.subscription(opts)
	if err != nil {
		return nil, err
	}
	if !s.tryBegin(opts.Start) {
		s.Close()
		return nil, nil
	}
	s.finishOpening(opts.Start.named())
	return s, nil
}

// subscription returns one at the present, not in the index yet.
func (f *Feed) subscription(opts SubscribeOptions) (*Subscription, error) {
	for _, filter := range opts.Filters {
		if err := subject.CheckFilter(filter); err != nil {
			return nil, err
		}
	}
	s := &Subscription{feed: f, filters: subject.MergeFilters(opts.Filters)}
	s.replay.always = opts.ReplayFromLog
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subs.Add(s)
	s.epoch, s.born, s.cursor, s.offered = f.epoch, f.born, f.window.high, f.window.high
	s.replay.times = f.reused.times
	return s, nil
}

func (f *Feed) awaitReady(ctx context.Context) error {
	if f.isDone() { // asked before ready, which stays closed
		return ErrClosed
	}
	select {
	case <-f.ready:
		return nil
	case <-f.done:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// begin places the cursor, opens a replay where one is needed, and fills in the opening.
func (s *Subscription) begin(ctx context.Context, opts SubscribeOptions) error {
	start := opts.Start
	switch start.kind {
	case startAll, startTime:
		s.ignoreDeletions()
		return s.beginWithin(ctx, start)
	case startLast:
		s.ignoreDeletions()
		return s.beginLast(ctx, opts.MaxLastSubjects)
	case startSeq, startResume:
		if s.replay.always || !s.tryBegin(start) {
			return s.beginAt(ctx, start)
		}
	default:
		s.tryBegin(start)
	}
	return nil
}

// tryBegin does what begin does where the log is not needed, and reports whether it was not.
func (s *Subscription) tryBegin(start Start) bool {
	switch start.kind {
	case startNew:
		s.open("", nil)
	case startMalformed:
		s.open("", s.malformed(start.raw))
	default:
		id := s.placeAt(start)
		n, covered := s.countInWindow()
		if !covered {
			return false
		}
		s.feed.fromWindow.Add(1)
		s.opening.Pending, s.opening.Resumed = n, start.kind == startResume
		s.open(id, s.missedAfter(id))
	}
	return true
}

// placeAt moves the cursor to the position that a client named, and returns that in full. A bare
// sequence is taken to mean the incarnation that the tail is in.
func (s *Subscription) placeAt(start Start) (id string) {
	named := start.position
	f := s.feed
	f.mu.RLock()
	var born int64 // not known of an incarnation that only other nodes have seen yet
	switch named.Epoch {
	case "", f.epoch:
		named.Epoch, born = f.epoch, f.born
	}
	f.mu.RUnlock()
	s.place(named.Epoch, born, named.Seq)
	return named.String()
}

// open fills in the opening from where the cursor stands.
func (s *Subscription) open(id string, gap *Gap) {
	at := Position{s.cursor, s.epoch}
	if id == "" && gap == nil {
		id = at.String()
	}
	s.opening.ID, s.opening.Position, s.opening.Gap = id, at, gap
}

func (s *Subscription) malformed(raw string) *Gap {
	s.feed.mu.RLock()
	defer s.feed.mu.RUnlock()
	// The last state stands for what is available: a request to the leader for a position that
	// cannot be read would cost more than it is worth.
	return newGap(Malformed, truncate(raw), s.feed.lastStateLocked(), s.cursor)
}

// truncate keeps what a client sent short enough to be sent back.
func truncate(raw string) string {
	if len(raw) > MaxPositionLen {
		return raw[:MaxPositionLen]
	}
	return raw
}

// beginWithin starts at the beginning or at a time, which are no claims to have anything.
func (s *Subscription) beginWithin(ctx context.Context, start Start) error {
	state, err := s.verify(ctx)
	if err != nil {
		return err
	}
	// What was deleted before the client came is not missing from what it asks for: a client that
	// fetches everything again upon a gap would do so without end.
	s.replay.announced = announcedHoles{state.Epoch, state.Born, state.LastSeq, state.FirstSeq, state.Deleted}
	first := state.FirstSeq
	if start.kind == startTime {
		if first, err = s.feed.log.SeqAt(ctx, start.time); err != nil {
			return err
		}
	}
	s.place(state.Epoch, state.Born, first-min(first, 1))
	at := Position{s.cursor, s.epoch}.String()
	gap, err := s.prepare(ctx, at)
	if gap == nil {
		at = ""
	}
	s.open(at, gap)
	return err
}

// beginAt starts at the position that a client named, which the window does not cover.
func (s *Subscription) beginAt(ctx context.Context, start Start) error {
	id := s.placeAt(start)
	s.feed.fromLog.Add(1)
	if start.position.Epoch == "" { // the tail may not be in the present incarnation yet
		state, err := s.feed.log.State(ctx)
		if err != nil {
			return err
		}
		s.place(state.Epoch, state.Born, start.position.Seq)
		id = Position{start.position.Seq, state.Epoch}.String()
	}
	gap, err := s.prepare(ctx, id)
	s.opening.Resumed = start.kind == startResume && err == nil &&
		(gap == nil || gap.Reason == Possible)
	s.open(id, gap)
	return err
}

// beginLast starts with the latest event of each subject. The opening lies before the first
// of them, so that a client cut off in between gets more rather than less.
func (s *Subscription) beginLast(ctx context.Context, maxSubjects int) error {
	n, err := s.feed.LastSubjects(ctx, s.filters, maxSubjects)
	if err != nil {
		return err
	}
	s.replay.subjects = max(n, 1)
	for {
		opened, err := s.openLast(ctx)
		if err != nil || opened {
			return err
		}
		if err := s.wait(ctx, time.After(retryPause)); err != nil {
			return err
		}
	}
}

// openLast opens the replay of the latest events and reads the first of them. Where that fails it
// returns false: there is no position yet behind which another replay could deliver them.
func (s *Subscription) openLast(ctx context.Context) (opened bool, err error) {
	state, err := s.verify(ctx)
	if err != nil {
		return false, err
	}
	s.place(state.Epoch, state.Born, state.LastSeq)
	s.opening.Pending = 0
	if state.LastSeq == 0 || state.FirstSeq > state.LastSeq {
		s.open("", nil)
		return true, nil
	}
	if err := s.replay.open(ctx, s, state, true); err != nil {
		return false, err
	}
	s.opening.Pending = s.replay.reader.Pending()
	seq, err := s.replay.peek(ctx)
	if err != nil {
		s.feed.opts.Logger.Debug("a replay of the latest events failed; another is opened", "error", err)
		return false, ctx.Err()
	}
	if seq > 0 && s.sameIncarnation(s.replay.peeked.State) {
		s.place(state.Epoch, state.Born, seq-1)
	}
	s.open("", nil)
	return true, ctx.Err()
}

func (s *Subscription) place(epoch string, born int64, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch, s.born, s.cursor, s.offered = epoch, born, seq, seq
}

// prepare counts what is pending in the window, or opens a replay where it does not reach.
func (s *Subscription) prepare(ctx context.Context, requested string) (*Gap, error) {
	if !s.replay.always {
		if n, ok := s.countInWindow(); ok {
			s.opening.Pending = n
			if requested == "" {
				return nil, nil
			}
			return s.missedAfter(requested), nil
		}
	}
	gap, err := s.openReplay(ctx, requested)
	if err != nil {
		return nil, err
	}
	if s.replay.reader != nil {
		s.opening.Pending = s.replay.reader.Pending()
	} else if gap != nil {
		s.opening.Pending, _ = s.countInWindow()
	}
	return gap, nil
}

// countInWindow counts what is pending up to the end that the window has now, a stretch at a time.
func (s *Subscription) countInWindow() (n uint64, covered bool) {
	r := newWindowReader(s.filters)
	count, looked, end, covered := s.lookAhead(r, 0)
	for len(looked) > 0 && covered {
		count += r.set.count(looked)
		at := looked[len(looked)-1].Seq
		if at >= end {
			break
		}
		_, looked, _, covered = s.lookAhead(r, at)
	}
	return uint64(count), covered //nolint:gosec // a count
}

// lookAhead returns the frames of a stretch behind the cursor and at, and the end of the window.
// Without wildcards it returns the number of frames instead.
func (s *Subscription) lookAhead(r *windowReader, at uint64) (n int, looked []*Frame, end uint64, covered bool) {
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
	looked, _ = w.look(r.buf, max(s.cursor, at))
	return 0, looked, w.high, true
}
