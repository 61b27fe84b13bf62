package feed

import (
	"context"
	"errors"
	"io"
	"time"
)

// replay is the part of a subscription that reads the store. Its owner alone uses it, and Feed.reset
// not at all.
type replay struct {
	reader      *countedReader // nil for none
	to          uint64         // the last sequence that was requested of the reader
	last        bool           // only the latest event of each subject is read
	suspendedTo uint64         // in the state Suspended: where the replay of the latest events ends
	share       *share         // of the budget; nil while there is no replay, and nothing of one is unsent

	subjects int // that a replay of the latest events is expected to match

	known     State  // the deletions that it shows are announced, up to the sequence to
	rewinds   uint64 // reusedRange.times at the latest request of the state
	announced announcedDeletions

	peeked *peeked // nil for none
}

// openReader begins to read the store, and enters the state Replaying unless the subscription is
// starting, or a reset has moved it: then the next Poll closes the reader.
func (s *Subscription) openReader(ctx context.Context, now State, opts ReadOptions) error {
	r := &s.replay
	opts.Filters, opts.Subjects = s.filters, r.subjects
	outage := s.feed.outages.next()
	reader, err := s.feed.store.Read(ctx, opts)
	if err != nil {
		return err
	}
	r.reader = s.feed.replays.watch(reader, outage)
	if r.share == nil {
		r.share = &share{budget: s.feed.opts.Replays}
	}
	r.to, r.last, r.known, r.peeked = opts.To, opts.LastPerSubject, now, nil
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == CatchingUp || s.state == Suspended {
		s.setStateLocked(Replaying)
	}
	return nil
}

// endReplay closes the reader and leaves the state Replaying.
func (s *Subscription) endReplay() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endReplayLocked()
}

func (s *Subscription) endReplayLocked() {
	s.replay.close()
	if s.state == Replaying {
		s.setStateLocked(CatchingUp)
	}
}

// close gives up the reader and the bytes of its next request.
func (r *replay) close() {
	if r.reader != nil {
		r.reader.Close()
		r.reader, r.peeked = nil, nil
	}
	if r.share != nil {
		r.share.cancel()
	}
}

// release gives back what the replay holds of the budget.
func (r *replay) release() {
	if r.share != nil {
		r.share.release()
		r.share = nil
	}
}

// peeked is a batch that was read before the caller required it.
type peeked struct {
	Batch
	err error
	at  time.Time
}

// peekedFor is for how long a batch that was read ahead may wait. An event that is deleted while it
// waits must not be delivered two seconds later.
const peekedFor = time.Second

func (r *replay) stale() bool { return r.peeked != nil && time.Since(r.peeked.at) > peekedFor }

// peek reads the first batch ahead and returns the sequence that it begins with; 0 where there is
// none. A replay that fails is given up.
func (r *replay) peek(ctx context.Context) (seq uint64, err error) {
	at := time.Now()
	batch, err := r.fetch(ctx)
	if err != nil && !errors.Is(err, io.EOF) {
		r.close()
		return 0, err
	}
	r.peeked = &peeked{batch, err, at}
	if len(batch.Events) == 0 {
		return 0, nil
	}
	return batch.Events[0].Seq, nil
}

func (r *replay) next(ctx context.Context) (Batch, error) {
	if p := r.peeked; p != nil {
		r.peeked = nil
		return p.Batch, p.err
	}
	return r.fetch(ctx)
}

// fetch reads the next batch once the budget has room for it, and requests the one after it where the
// budget has room for that, too. It gathers while the batch is framed and sent.
func (r *replay) fetch(ctx context.Context) (Batch, error) {
	for {
		if err := r.share.reserve(ctx); err != nil {
			return Batch{}, err
		}
		r.reader.Request(r.share.requested)
		batch, err := r.reader.Next(ctx)
		if large, ok := errors.AsType[*LargeEventError](err); ok {
			r.share.cancel()
			r.share.alone = large.Bytes
			continue
		}
		r.share.received(batch.Events)
		if err == nil && r.share.reserveAhead() && !r.reader.Request(r.share.requested) {
			r.share.cancel()
		}
		return batch, err
	}
}

// ack gives back the bytes of the events that were read before: the caller has sent them.
func (r *replay) ack() {
	if r.share == nil || r.peeked != nil {
		return
	}
	r.share.sent()
	if r.reader == nil {
		r.share = nil
	}
}

// continueReplay returns the next frames of the replay under way.
func (s *Subscription) continueReplay(ctx context.Context) (Delivery, error) {
	if s.replay.stale() {
		s.suspendReplay() // it is read again
		return Delivery{}, nil
	}
	read, err := s.replay.next(ctx)
	ended := errors.Is(err, io.EOF)
	if ctx.Err() != nil {
		return Delivery{}, context.Cause(ctx)
	}
	if err != nil && !ended {
		return Delivery{}, s.retryReplay(ctx, err)
	}
	if !s.same(read.State.incarnation()) {
		s.endReplay() // the next Fetch finds the other incarnation, and returns the gap
		return Delivery{}, nil
	}
	gap, same, err := s.detectLoss(ctx, read)
	if err != nil {
		return Delivery{}, s.retryReplay(ctx, err)
	}
	if !same {
		s.endReplay()
		return Delivery{}, nil
	}
	if !s.advance(gap, read, ended) {
		return Delivery{}, nil // the next Poll resyncs
	}
	if len(read.Events) == 0 {
		return Delivery{Gap: gap}, nil
	}
	frames, of := make([]*Frame, len(read.Events)), &incarnationFrames{epoch: s.epoch}
	for i, ev := range read.Events {
		frames[i] = newFrame(of, ev)
	}
	return Delivery{Gap: gap, Frames: frames}, nil
}

// retryReplay gives up a replay that fails. The next Fetch opens another where the cursor is.
func (s *Subscription) retryReplay(ctx context.Context, err error) error {
	s.feed.opts.Logger.Debug("feed: replay failed; retrying", "error", err)
	s.endReplay()
	return s.wait(ctx, time.After(retryPause))
}

// advance moves the cursor past a gap and the events that were read. A replay that has ended has also read
// everything that did not match, as far as the stream still reaches. It returns false when a reset is
// about to move the subscription: it is not known on which side of the loss the events were read.
func (s *Subscription) advance(gap *Gap, read Batch, ended bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == Resyncing {
		return false
	}
	s.holdAckedLocked()
	if gap != nil {
		s.cursor = max(s.cursor, gap.Continues.Seq)
	}
	if n := len(read.Events); n > 0 {
		s.cursor = read.Events[n-1].Seq
	}
	if ended {
		s.cursor = max(s.cursor, min(s.replay.to, read.State.LastSeq))
		s.endReplayLocked()
	}
	s.enqueuedTo = s.cursor
	return true
}
