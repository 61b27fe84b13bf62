package feed

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tidemark/tidemark/internal/subject"
)

// randomWindow holds events on a few subjects of up to three tokens.
func randomWindow(r *rand.Rand, events int) (*window, []*Frame) {
	w := newWindow(events*3/4+1, 1<<30) // some are evicted
	w.reset(0)
	var frames []*Frame
	for seq := range uint64(events) {
		f := newFrame(&incarnationFrames{epoch: "e1"}, Event{Seq: seq + 1, Subject: randomSubject(r, "abc")})
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
	return subject.MergeFilters(filters)
}

// matching returns the sequences that the window must return, by comparing each frame.
func matching(frames []*Frame, seq uint64, filters []string) (seqs []uint64) {
	for _, f := range frames {
		if f.Seq > seq && (len(filters) == 0 || slices.ContainsFunc(filters, func(filter string) bool { return subject.Matches(filter, f.Subject) })) {
			seqs = append(seqs, f.Seq)
		}
	}
	return seqs
}

// readAll reads the window from a position on as a subscription does, batch by batch.
func readAll(w *window, from uint64, filters []string, limit int) (seqs []uint64, count int) {
	r := newWindowReader(filters)
	if !r.set.wildcard {
		count = w.countOf(from, filters)
	}
	for end := false; !end; {
		var frames []*Frame
		upTo := w.high
		if r.set.wildcard {
			looked, _ := w.copyAfter(r.buf, from)
			if len(looked) > 0 {
				frames, upTo = r.set.match(looked)
			}
			n, _ := slices.BinarySearchFunc(looked, upTo+1, func(f *Frame, seq uint64) int { return cmp.Compare(f.Seq, seq) })
			count += r.set.count(looked[:n])
		} else {
			frames, upTo = w.pick(from, filters, limit)
		}
		for _, f := range frames {
			seqs = append(seqs, f.Seq)
		}
		from, end = upTo, upTo == w.high
	}
	return seqs, count
}

func TestReadWindow_AnyFilters_ReturnsAllMatchingInOrder(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		w, frames := randomWindow(r, 1+r.IntN(3*stretch))
		for _, tokens := range []string{"abc", "abc*"} { // without wildcards, and with some
			filters, from := randomFilters(r, tokens), w.low+uint64(r.IntN(w.frames.len()+1))
			if tokens == "abc" && len(filters) == 0 {
				filters = []string{"a"}
			}
			want := matching(frames, from, filters)
			got, count := readAll(w, from, filters, 1+r.IntN(100))
			if !slices.Equal(got, want) || count != len(want) {
				t.Fatalf("seed %d: after %d %q: counted %d, got %v, want %v", seed, from, filters, count, got, want)
			}
		}
	}
}

// TestLookAndPick_LargeWindow_AreBounded bounds the work while the feed is locked.
func TestLookAndPick_LargeWindow_AreBounded(t *testing.T) {
	w := newWindow(1<<20, 1<<30)
	w.reset(0)
	var subjects []string
	for i := range 7 {
		subjects = append(subjects, fmt.Sprintf("n.%d", i))
	}
	for seq := range uint64(10 * stretch) {
		w.add(newFrame(&incarnationFrames{epoch: "e1"}, Event{Seq: seq + 1, Subject: subjects[seq%7]}))
	}
	if looked, left := w.copyAfter(make([]*Frame, stretch), 100); len(looked) != stretch || left != 9*stretch-100 || looked[0].Seq != 101 {
		t.Errorf("looked at %d frames from %d on, %d are left", len(looked), looked[0].Seq, left)
	}
	if frames, upTo := w.pick(0, subjects, 50); len(frames) != 50 || upTo != 50 {
		t.Errorf("picked %d frames up to %d", len(frames), upTo)
	}
}
