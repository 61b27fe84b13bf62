package jetstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
)

// epochKey is the stream metadata that names the epoch, for mirrors that share one with
// their origin.
const epochKey = "tidemark.epoch"

// streamInfo is what matters of a STREAM.INFO response.
type streamInfo struct {
	failure
	Created time.Time `json:"created"`
	Time    time.Time `json:"ts"` // by the server that answers
	Config  struct {
		Subjects   []string                  `json:"subjects"`
		Retention  jetstream.RetentionPolicy `json:"retention"`
		Replicas   int                       `json:"num_replicas"`
		Metadata   map[string]string         `json:"metadata"`
		PerSubject int                       `json:"max_msgs_per_subject"` // -1 is no limit
		MaxAge     time.Duration             `json:"max_age"`
		TTL        bool                      `json:"allow_msg_ttl"`
		Schedules  bool                      `json:"allow_msg_schedules"`
		Mirror     *struct {
			Name string `json:"name"`
		} `json:"mirror"`
		ConsumerLimits jetstream.StreamConsumerLimits `json:"consumer_limits"`
	} `json:"config"`
	Mirror *struct {
		Lag    uint64              `json:"lag"`
		Active time.Duration       `json:"active"`
		Error  *jetstream.APIError `json:"error"`
	} `json:"mirror"`
	State struct {
		Msgs       uint64   `json:"messages"`
		FirstSeq   uint64   `json:"first_seq"`
		LastSeq    uint64   `json:"last_seq"`
		NumDeleted uint64   `json:"num_deleted"`
		Deleted    []uint64 `json:"deleted"`
		Consumers  int      `json:"consumer_count"`
		Subjects   int      `json:"num_subjects"`
	} `json:"state"`
}

func (i *streamInfo) state() feed.State {
	s := feed.State{
		Epoch:    epoch(i.Created, i.Config.Metadata),
		FirstSeq: i.State.FirstSeq,
		LastSeq:  i.State.LastSeq,
		Deleted:  i.State.NumDeleted,
		Readers:  i.State.Consumers,
		Copy:     i.copy(),
		Time:     i.Time,

		MaxPerSubject: max(i.Config.PerSubject, 0),
		MaxAge:        i.Config.MaxAge,
		Lifetimes:     i.Config.TTL,

		Replicated: i.Config.Replicas > 1,
	}
	if s.Copy == feed.Original {
		s.Born = i.Created.UnixNano()
	}
	if i.State.Msgs == 0 {
		s.FirstSeq = s.LastSeq + 1
	}
	return s
}

// mirrorContact is how long ago a mirror may have heard of its origin to count as level with
// it. An origin that has nothing to send says so each second.
const mirrorContact = 3 * time.Second

// copy says how a mirror stands to its origin. Its lag is what the last message told, so that
// it says something only while the origin is heard.
func (i *streamInfo) copy() feed.Copy {
	switch m := i.Mirror; {
	case i.Config.Mirror == nil:
		return feed.Original
	case m == nil, m.Error != nil, m.Lag > 0, m.Active < 0, m.Active > mirrorContact:
		return feed.CopyBehind
	}
	return feed.CopyLevel
}

// sharesEpoch reports that the stream's positions mean the same in streams that have the
// same tidemark.epoch.
func (i *streamInfo) sharesEpoch() bool { return feed.ValidEpoch(i.Config.Metadata[epochKey]) }

// epoch names the incarnation of a stream. Created survives restarts and changes of the
// configuration; a recreated or restored stream has another.
func epoch(created time.Time, metadata map[string]string) string {
	if e := metadata[epochKey]; feed.ValidEpoch(e) {
		return e
	}
	const digits, space = 6, 36 * 36 * 36 * 36 * 36 * 36
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(created.UnixNano())))
	hash := strconv.FormatUint(binary.BigEndian.Uint64(sum[:])%space, 36)
	return strings.Repeat("0", digits-len(hash)) + hash
}

// info asks the stream's leader once.
func (l *Store) info(ctx context.Context) (*streamInfo, error) {
	var resp streamInfo
	err := l.request(ctx, "STREAM.INFO."+l.opts.Stream, nil, &resp)
	if err == nil {
		l.limits.set(&resp)
	}
	return &resp, err
}

// State implements feed.Store. It wraps feed.ErrNoStream when there is no such stream.
func (l *Store) State(ctx context.Context) (feed.State, error) {
	var info *streamInfo
	err := l.retry(ctx, func() (err error) {
		info, err = l.infos.info(ctx)
		return err
	})
	if err != nil {
		return feed.State{}, err
	}
	return info.state(), nil
}

// SeqAt implements feed.Store. The leader is asked, not a replica. The end of the stream is
// taken first: what is published in between is then at or after the answer.
func (l *Store) SeqAt(ctx context.Context, t time.Time) (uint64, error) {
	state, err := l.State(ctx)
	if err != nil {
		return 0, err
	}
	msg, found, err := l.get(ctx, msgQuery{StartTime: &t, NextFor: ">"})
	if err != nil || !found {
		return state.LastSeq + 1, err
	}
	return msg.Seq, nil
}

// HasHoles implements feed.Store. It answers true when the stream has more deleted messages
// than Options.MaxDeleted, without looking where they are. Each answer of the leader is judged
// by itself: between two, retention may take a deleted message at the front with all before it.
func (l *Store) HasHoles(ctx context.Context, from, to uint64) (bool, error) {
	state, err := l.State(ctx)
	switch {
	case err != nil || from > to:
		return false, err
	case state.FirstSeq > from:
		return true, nil
	case state.Deleted == 0:
		return false, nil
	case state.Deleted > uint64(l.opts.MaxDeleted): //nolint:gosec // a bound above zero
		return true, nil
	}
	var holes bool
	err = l.retry(ctx, func() (err error) {
		holes, err = l.holes(ctx, from, to)
		return err
	})
	return holes, err
}

func (l *Store) holes(ctx context.Context, from, to uint64) (bool, error) {
	var resp streamInfo
	req := struct {
		DeletedDetails bool `json:"deleted_details"`
	}{true}
	if err := l.request(ctx, "STREAM.INFO."+l.opts.Stream, req, &resp); err != nil {
		return false, err
	}
	if resp.state().FirstSeq > from {
		return true, nil
	}
	return slices.ContainsFunc(resp.State.Deleted, func(seq uint64) bool {
		return from <= seq && seq <= to
	}), nil
}

// checkMirror tells the operator of a mirror whose positions are good for nothing elsewhere.
func (l *Store) checkMirror(info *streamInfo) {
	if info.Config.Mirror == nil || info.sharesEpoch() {
		return
	}
	l.opts.Logger.Warn("the stream is a mirror without an epoch: who comes from its origin, or goes there, meets a gap; "+
		"set tidemark.epoch to the same value in the metadata of both", "origin", info.Config.Mirror.Name)
}
