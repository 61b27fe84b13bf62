package jetstore

import (
	"context"

	"github.com/tidemark/tidemark/internal/feed"
)

// endMayBeDeleted reports that the consumer has nothing more, that the leader had, and that the
// stream has deleted messages. The end of the stream may be among them: no consumer delivers
// anything for it. It is true once for each answer of the leader.
func (f *follower) endMayBeDeleted(d delivery) bool {
	l := &f.lag
	suspect := l.deleted && !l.answered.IsZero() && f.next <= l.last && d.drained() && f.pull.waiting()
	l.deleted = l.deleted && !suspect
	return suspect
}

// passDeletedEnd yields the end of the stream where nothing is stored between the tail and it.
func (f *follower) passDeletedEnd(ctx context.Context) error {
	last, err := f.deletedEnd(ctx)
	if err != nil || last < f.next {
		return nil //nolint:nilerr // the next answer of the leader is checked again
	}
	f.next = last + 1
	if !f.yield(feed.Event{Seq: last, Deleted: true}, nil) {
		return errStopped
	}
	return nil
}

// deletedEnd returns the last sequence of the stream where nothing is stored from the tail's
// next one on, else 0. The state of the stream is requested before and after: the stream may have been
// recreated, or have lost its end, when its leader answers that it has no such message.
func (f *follower) deletedEnd(ctx context.Context) (last uint64, err error) {
	before, err := f.info(ctx)
	if err != nil {
		return 0, err
	}
	state := stateOf(before)
	if f.otherIncarnation(state) || state.FirstSeq > f.next || state.LastSeq < f.next {
		return 0, nil
	}
	if _, found, err := f.get(ctx, msgQuery{Seq: f.next, NextFor: ">"}); err != nil || found {
		return 0, err
	}
	after, err := f.info(ctx)
	if err != nil || !after.Created.Equal(before.Created) || after.State.LastSeq < state.LastSeq {
		return 0, err
	}
	return state.LastSeq, nil
}
