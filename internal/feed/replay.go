package feed

import (
	"context"
	"errors"
	"io"
	"time"
)

// replay is the part of a subscription that reads the log. Only Next's goroutine uses it.
type replay struct {
	reader *countedReader // nil for none
	to     uint64         // the last sequence that the reader was asked for
	last   bool           // only the latest of each subject is read
	lastTo uint64         // a suspended replay of the latest of each subject ends there; 0 for none
	always bool           // begin with the log, whatever the window holds
	share  *share         // of the budget; nil while there is no replay, and nothing of one is unsent

	subjects int // that a replay of the latest events is expected to match

	known     State          // the deletions that it shows are announced, up to the sequence to
	times     uint64         // reusedRange.times when the stream was looked at for it
	announced announcedHoles // see checkHoles

	peeked *peeked // nil for none
}

// open begins to read what lies between the cursor of s and the end of the stream.
func (r *replay) open(ctx context.Context, s *Subscription, now State, last bool) error {
	from := s.cursor + 1
	if last {
		from = max(now.FirstSeq, 1)
	}
	return r.read(ctx, s, now, ReadOptions{From: from, To: now.LastSeq, Filters: s.filters, LastPerSubject: last, Subjects: r.subjects})
}

// reopenLast continues a suspended replay of the latest event of each subject.
func (r *replay) reopenLast(ctx context.Context, s *Subscription, now State) error {
	return r.read(ctx, s, now, ReadOptions{From: s.cursor + 1, To: min(r.lastTo, now.LastSeq), Filters: s.filters, LastPerSubject: true, Subjects: r.subjects})
}

func (r *replay) read(ctx context.Context, s *Subscription, now State, opts ReadOptions) error {
	outage := s.feed.outages.next()
	reader, err := s.feed.store.Read(ctx, opts)
	if err != nil {
		return err
	}
	r.reader = s.feed.replays.watch(reader, outage)
	if r.share == nil {
		r.share = &share{budget: s.feed.opts.Replays}
	}
	r.to, r.last, r.known, r.peeked, r.lastTo = opts.To, opts.LastPerSubject, now, nil, 0
	return nil
}

// close gives the reader up.
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

// peeked is a batch that was read before the caller asked for it.
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

// sent gives back what was read before: the caller has sent it.
func (r *replay) sent() {
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
		s.replay.suspend() // it is read again
		return Delivery{}, nil
	}
	read, err := s.replay.next(ctx)
	ended := errors.Is(err, io.EOF)
	if ctx.Err() != nil {
		return Delivery{}, context.Cause(ctx)
	}
	if err != nil && !ended {
		return Delivery{}, s.replayAgain(ctx, err)
	}
	if !s.sameIncarnation(read.State) {
		s.replay.close() // openReplay sees the other incarnation, and says so
		return Delivery{}, nil
	}
	gap, same, err := s.detectLoss(ctx, read)
	switch {
	case err != nil:
		return Delivery{}, s.replayAgain(ctx, err)
	case !same:
		s.replay.close()
		return Delivery{}, nil
	case !s.advance(gap, read, ended):
		return Delivery{}, nil // Poll moves the subscription, and gives the replay up
	}
	return Delivery{Gap: gap, Frames: s.frames(read.Events)}, nil
}

// replayAgain gives up a replay that fails, for another from where the cursor stands.
func (s *Subscription) replayAgain(ctx context.Context, err error) error {
	s.feed.opts.Logger.Debug("a replay starts again", "error", err)
	s.replay.close()
	return s.wait(ctx, time.After(retryPause))
}

// advance moves the cursor past a gap and what was read; a replay that has ended has also looked
// at everything that did not match, as far as the stream still reaches. It does nothing, and
// returns false, when a reset is about to move the subscription: it is not known on which side of
// the loss the events were read.
func (s *Subscription) advance(gap *Gap, read Batch, ended bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jump != nil {
		return false
	}
	s.holdLocked()
	if gap != nil {
		s.cursor = max(s.cursor, gap.Continues.Seq)
	}
	if n := len(read.Events); n > 0 {
		s.cursor = read.Events[n-1].Seq
	}
	if ended {
		s.cursor = max(s.cursor, min(s.replay.to, read.State.LastSeq))
		s.replay.close()
	}
	s.offered = s.cursor
	return true
}

func (s *Subscription) frames(events []Event) []*Frame {
	if len(events) == 0 {
		return nil
	}
	frames := make([]*Frame, len(events))
	for i, ev := range events {
		frames[i] = newFrame(s.epoch, ev)
	}
	return frames
}
