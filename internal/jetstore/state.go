package jetstore

import (
	"context"
	"slices"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jsapi"
	"github.com/tidemark/tidemark/internal/streamdef"
)

func stateOf(i *jsapi.StreamInfo) feed.State {
	s := feed.State{
		Epoch:    streamdef.Epoch(i.Created, i.Config.Metadata),
		FirstSeq: i.State.FirstSeq,
		LastSeq:  i.State.LastSeq,
		Deleted:  i.State.NumDeleted,
		Readers:  i.State.Consumers,
		Copy:     copyOf(i),
		Time:     i.Time,

		MaxPerSubject: max(i.Config.PerSubject, 0),
		MaxAge:        i.Config.MaxAge,
		Lifetimes:     i.Config.TTL,

		Replicated: i.Config.Replicas > 1,
	}
	if s.Copy == feed.Original {
		s.Created = i.Created.UnixNano()
	}
	if i.State.Msgs == 0 {
		s.FirstSeq = s.LastSeq + 1
	} else {
		s.LastTime = i.State.LastTime
	}
	return s
}

// mirrorContact is how old the last message of the origin may be for a mirror that counts as level with
// it. An origin without new messages sends a heartbeat each second.
const mirrorContact = 3 * time.Second

// copyOf returns whether a stream is a mirror, and whether it is level with its origin. Its lag is that
// of the last message, and so valid only while the origin sends.
func copyOf(i *jsapi.StreamInfo) feed.Copy {
	switch m := i.Mirror; {
	case i.Config.Mirror == nil:
		return feed.Original
	case m == nil, m.Error != nil, m.Lag > 0, m.Active < 0, m.Active > mirrorContact:
		return feed.CopyBehind
	}
	return feed.CopyCaughtUp
}

// State implements feed.Store. It wraps feed.ErrNoStream when there is no such stream.
func (s *Store) State(ctx context.Context) (feed.State, error) {
	var info *jsapi.StreamInfo
	err := s.leader.retry(ctx, func() (err error) {
		info, err = s.infos.info(ctx)
		return err
	})
	if err != nil {
		return feed.State{}, err
	}
	return stateOf(info), nil
}

// SeqAt implements feed.Store. It requests the end of the stream first: messages that are published in
// between are then at or after the answer.
func (s *Store) SeqAt(ctx context.Context, t time.Time) (uint64, error) {
	state, err := s.State(ctx)
	if err != nil {
		return 0, err
	}
	msg, found, err := s.leader.get(ctx, msgQuery{StartTime: &t, NextFor: ">"})
	if err != nil || !found {
		return state.LastSeq + 1, err
	}
	return msg.Seq, nil
}

// HasDeleted implements feed.Store. It returns true when the stream has more deleted messages
// than Options.MaxDeleted, wherever they are. Each answer of the leader is evaluated
// by itself: between two, retention may remove a deleted message at the front with all before it.
func (s *Store) HasDeleted(ctx context.Context, from, to uint64) (bool, error) {
	state, err := s.State(ctx)
	switch {
	case err != nil || from > to:
		return false, err
	case state.FirstSeq > from:
		return true, nil
	case state.Deleted == 0:
		return false, nil
	case state.Deleted > uint64(s.opts.MaxDeleted): //nolint:gosec // a bound above zero
		return true, nil
	}
	var deleted bool
	err = s.leader.retry(ctx, func() (err error) {
		deleted, err = s.deletedIn(ctx, from, to)
		return err
	})
	return deleted, err
}

func (s *Store) deletedIn(ctx context.Context, from, to uint64) (bool, error) {
	var resp jsapi.StreamInfo
	if err := s.leader.api.Request(ctx, s.leader.infoOp(), deletedDetails, &resp); err != nil {
		return false, err
	}
	if stateOf(&resp).FirstSeq > from {
		return true, nil
	}
	return slices.ContainsFunc(resp.State.Deleted, func(seq uint64) bool {
		return from <= seq && seq <= to
	}), nil
}
