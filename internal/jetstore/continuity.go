package jetstore

import (
	"context"
	"fmt"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// otherIncarnation reports that the stream was created again since From of the options had its meaning.
func (f *follower) otherIncarnation(state feed.State) bool {
	return f.opts.Epoch != "" && f.opts.Epoch != state.Epoch ||
		f.opts.Created != 0 && state.Created != 0 && f.opts.Created != state.Created
}

// checkContinuity returns a *feed.LossError when the stream cannot be continued at the next sequence.
func (f *follower) checkContinuity(ctx context.Context, state feed.State) error {
	switch {
	case f.otherIncarnation(state):
		return f.loss(feed.NewEpoch, state)
	case state.FirstSeq > f.next:
		return f.loss(feed.Trimmed, state)
	case state.LastSeq+1 < f.next:
		return f.checkShorter(ctx, state)
	}
	return f.checkReused(ctx, state)
}

// shorter records observations of a stream that ends before the tail.
type shorter struct {
	checks int       // in a row in which a mirror was level with its origin
	since  time.Time // zero while the stream is not shorter
}

const (
	// shorterChecks is how often in a row a mirror that is level with its origin must be found
	// shorter than the tail: it reports that it is level before its origin has answered.
	shorterChecks = 5
	// shorterTime is how long a replicated stream must be shorter; see feed.State.
	shorterTime = time.Second
)

// checkShorter handles a stream that ends before the tail. A mirror that was created again receives the
// same events again, which is waited for.
func (f *follower) checkShorter(ctx context.Context, state feed.State) error {
	s := &f.shorter
	if s.since.IsZero() {
		s.since = time.Now()
	}
	if state.Copy == feed.CopyCaughtUp {
		s.checks++
	} else {
		s.checks = 0
	}
	lost := true
	switch {
	case state.Copy != feed.Original:
		lost = s.checks >= shorterChecks
	case state.Replicated:
		lost = time.Since(s.since) >= shorterTime
	}
	if lost {
		return f.lossOfEnd(ctx, feed.Future, state)
	}
	return fmt.Errorf("the stream has reached %d, and the tail was at %d", state.LastSeq, f.next-1)
}

// checkReused finds sequences that were assigned again after the stream lost its end, during an outage
// or before this follower. Events that were deleted before they were read need no check: the sequences
// that are yielded have a hole.
func (f *follower) checkReused(ctx context.Context, state feed.State) error {
	last := f.marks.last
	if last.seq < state.FirstSeq || last.seq == 0 {
		return nil
	}
	msg, found, err := f.get(ctx, msgQuery{Seq: last.seq})
	if err == nil && found && msg.Time.UnixNano() != last.nanos {
		return f.lossOfEnd(ctx, feed.Possible, state)
	}
	return err
}

func (f *follower) loss(reason feed.Reason, state feed.State) error {
	return &feed.LossError{Reason: reason, From: f.next, State: state}
}

// lossOfEnd is the loss where the stream has lost its end.
func (f *follower) lossOfEnd(ctx context.Context, reason feed.Reason, state feed.State) error {
	return &feed.LossError{Reason: reason, From: f.next, State: state, Reused: true, Kept: f.kept(ctx, state)}
}
