package jetstore

import (
	"context"

	"github.com/tidemark/tidemark/internal/feed"
)

// endMayBeDeleted reports that the consumer has nothing more, that the leader had, and that the
// stream has deleted messages. The end of the stream may be among them: no consumer delivers
// anything for it. The leader is consulted once for each of its answers.
func (f *follower) endMayBeDeleted(d delivery) bool {
	p := &f.probe
	suspect := p.told && p.deleted && f.next <= p.last && d.level() && f.pull.waiting()
	p.deleted = p.deleted && !suspect
	return suspect
}

// passDeletedEnd yields the end of the stream where nothing is stored between the tail and it.
// more is false when the caller has had enough.
func (f *follower) passDeletedEnd(ctx context.Context, yield func(feed.Event, error) bool) (more bool) {
	last, err := f.deletedEnd(ctx)
	if err != nil || last < f.next {
		return true
	}
	f.next = last + 1
	return yield(feed.Event{Seq: last, Deleted: true}, nil)
}

// deletedEnd returns the last sequence of the stream where nothing is stored from the tail's
// next one on, else 0. The stream is looked at before and after, as it may have been created
// again, or have lost its end, when its leader says that it has no such message.
func (f *follower) deletedEnd(ctx context.Context) (last uint64, err error) {
	before, err := f.info(ctx)
	if err != nil {
		return 0, err
	}
	state := stateOf(before)
	if f.foreign(state) || state.FirstSeq > f.next || state.LastSeq < f.next {
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
