package feed

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// randomWindow holds events on a few subjects of up to three tokens.
func randomWindow(r *rand.Rand, events int) (*window, []*Frame) {
	w := newWindow(events*3/4+1, 1<<30) // some are evicted
	w.reset(0)
	var frames []*Frame
	for seq := range uint64(events) {
		f := newFrame("e1", Event{Seq: seq + 1, Subject: randomSubject(r, "abc")})
		w.add(f)
		frames = append(frames, f)
	}
	return w, frames[len(frames)-w.frames.len():]
}

func randomSubject(r *rand.Rand, tokens string) string {
	s := ""
	for n := range 1 + r.IntN(3) {
		if n > 0 {
			s += "."
		}
		s += string(tokens[r.IntN(len(tokens))])
	}
	return s
}

func randomFilters(r *rand.Rand, tokens string) []string {
	var filters []string
	for range r.IntN(8) {
		f := randomSubject(r, tokens)
		if tokens != "abc" && r.IntN(4) == 0 {
			f += ".>"
		}
		filters = append(filters, f)
	}
	return MergeFilters(filters)
}

// matching is what the window must give, found the slow way.
func matching(frames []*Frame, seq uint64, filters []string) (seqs []uint64) {
	for _, f := range frames {
		if f.Seq > seq && (len(filters) == 0 || slices.ContainsFunc(filters, func(filter string) bool { return Matches(filter, f.Subject) })) {
			seqs = append(seqs, f.Seq)
		}
	}
	return seqs
}

func TestWindowAfter_AnyFilters_ReturnsAllMatchingInOrder(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		w, frames := randomWindow(r, 1+r.IntN(3*stretch))
		for _, tokens := range []string{"abc", "abc*"} { // without wildcards, and with some
			filters, from := randomFilters(r, tokens), w.low+uint64(r.IntN(w.frames.len()+1))
			if tokens == "abc" && len(filters) == 0 {
				filters = []string{"a"}
			}
			want, set := matching(frames, from, filters), newFilterSet(filters)
			var got []uint64
			limit := 1 + r.IntN(100)
			for at, end := from, false; !end; {
				read, upTo := w.after(at, set, limit)
				for _, f := range read {
					got = append(got, f.Seq)
				}
				if len(read) > limit || upTo < at || upTo == at && upTo != w.high {
					t.Fatalf("seed %d: %d frames up to %d after %d, limit %d", seed, len(read), upTo, at, limit)
				}
				at, end = upTo, upTo == w.high
			}
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: after %d %q: got %v, want %v", seed, from, filters, got, want)
			}
			count := 0
			for at, end := from, false; !end; {
				n, upTo := w.count(at, set)
				count += n
				at, end = upTo, upTo == w.high
			}
			if count != len(want) {
				t.Fatalf("seed %d: counted %d after %d %q, want %d", seed, count, from, filters, len(want))
			}
		}
	}
}

// TestWindowAfter_OneCall_LooksAtOneStretch bounds what the feed is locked for.
func TestWindowAfter_OneCall_LooksAtOneStretch(t *testing.T) {
	w := newWindow(1<<20, 1<<30)
	w.reset(0)
	for seq := range uint64(10 * stretch) {
		w.add(newFrame("e1", Event{Seq: seq + 1, Subject: fmt.Sprintf("n.%d", seq%7)}))
	}
	for _, filters := range [][]string{nil, {"n.*"}, {"other.>"}, {"a.*", "b.*", "c.*", "d.*"}} {
		frames, upTo := w.after(0, newFilterSet(filters), 1<<20)
		if upTo != stretch || len(frames) > stretch {
			t.Errorf("%q: looked up to %d and took %d frames, want at most %d", filters, upTo, len(frames), stretch)
		}
		if _, upTo := w.count(0, newFilterSet(filters)); upTo != stretch {
			t.Errorf("%q: counted up to %d, want %d", filters, upTo, stretch)
		}
	}
}
