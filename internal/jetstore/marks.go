package jetstore

import (
	"cmp"
	"context"
	"math/bits"
	"slices"

	"github.com/tidemark/tidemark/internal/feed"
)

// mark is when a message that the tail has read was stored. Two messages of one sequence have
// different times, so that the time shows whether the stream still has the same one.
type mark struct {
	seq   uint64
	nanos int64
}

// marks has those of some messages that were read: fewer the longer ago, and at most
// 64. Each number of trailing zero bits keeps the latest sequence that has it.
type marks struct {
	last mark
	kept [64]mark
}

func (m *marks) add(seq uint64, nanos int64) {
	m.last = mark{seq, nanos}
	m.kept[bits.TrailingZeros64(seq)%64] = m.last
}

// before returns the marks of seq or less, the newest first.
func (m *marks) before(seq uint64) (found []mark) {
	for _, k := range m.kept {
		if k.seq > 0 && k.seq <= seq {
			found = append(found, k)
		}
	}
	slices.SortFunc(found, func(a, b mark) int { return cmp.Compare(b.seq, a.seq) })
	return found
}

// kept finds a sequence up to which a stream that lost its end has kept what the tail has read,
// the highest that the marks confirm; 0 for none.
func (f *follower) kept(ctx context.Context, state feed.State) uint64 {
	for _, m := range f.marks.before(state.LastSeq) {
		if m.seq < state.FirstSeq {
			break
		}
		msg, found, err := f.get(ctx, msgQuery{Seq: m.seq})
		if err != nil {
			break
		}
		if found && msg.Time.UnixNano() == m.nanos {
			return m.seq
		}
	}
	return 0
}
