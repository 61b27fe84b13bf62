package loadtest

import (
	"fmt"
	"slices"
)

// tally compares what one client receives with the numbers 1, 2, 3… of its key.
type tally struct {
	next    int      // the expected number
	missing []span   // numbers that were skipped, and may still arrive out of order
	got     int      // deliveries, without repeats
	gapped  bool     // the server announced a gap: numbers that are skipped next are not lost
	counts  counters // of this client
}

type span struct{ from, to int } // both included

type counters struct{ repeated, reordered, foreign, gaps, excused int }

// add counts one received number.
func (t *tally) add(n int) {
	switch {
	case n >= t.next:
		if n > t.next {
			t.skip(span{t.next, n - 1})
		}
		t.next, t.gapped = n+1, false
		t.got++
	case t.takeMissing(n):
		t.counts.reordered++
		t.got++
	default:
		t.counts.repeated++
	}
}

func (t *tally) skip(s span) {
	if t.gapped {
		t.counts.excused += s.to - s.from + 1
		return
	}
	t.missing = append(t.missing, s)
}

// takeMissing removes a number from the missing ones and reports whether it was among them.
func (t *tally) takeMissing(n int) bool {
	i := slices.IndexFunc(t.missing, func(s span) bool { return s.from <= n && n <= s.to })
	if i < 0 {
		return false
	}
	s := t.missing[i]
	var rest []span
	if s.from < n {
		rest = append(rest, span{s.from, n - 1})
	}
	if n < s.to {
		rest = append(rest, span{n + 1, s.to})
	}
	t.missing = slices.Replace(t.missing, i, i+1, rest...)
	return true
}

// gap counts an announced gap: events that the server cannot deliver.
func (t *tally) gap() {
	t.counts.gaps++
	t.gapped = true
}

// countLost returns how many of the published numbers are missing.
func (t *tally) countLost(published int) (lost int) {
	if t.next <= published {
		t.skip(span{t.next, published})
		t.next = published + 1
	}
	for _, s := range t.missing {
		lost += s.to - s.from + 1
	}
	return lost
}

// addClient adds a client to the verdict of a run. It returns the client's violations as a sentence,
// or nothing.
func (v *Verdict) addClient(name string, t *tally, published int) string {
	lost := t.countLost(published)
	own := Verdict{
		Expected: published - t.counts.excused, Delivered: t.got, Lost: lost, Repeated: t.counts.repeated,
		Reordered: t.counts.reordered, Foreign: t.counts.foreign, Gaps: t.counts.gaps,
	}
	v.add(own)
	if own.OK() {
		return ""
	}
	return sentence(name, t, lost, published)
}

// add sums up the counts, not the sentences.
func (v *Verdict) add(o Verdict) {
	v.Expected += o.Expected
	v.Delivered += o.Delivered
	v.Lost += o.Lost
	v.Repeated += o.Repeated
	v.Reordered += o.Reordered
	v.Foreign += o.Foreign
	v.Gaps += o.Gaps
}

func sentence(name string, t *tally, lost, published int) string {
	text := fmt.Sprintf("%s received %d of %d: %d lost", name, t.got, published, lost)
	if len(t.missing) > 0 {
		text += fmt.Sprintf(" (first %d to %d)", t.missing[0].from, t.missing[0].to)
	}
	return text + fmt.Sprintf(", %d repeated, %d out of order, %d meant for others", t.counts.repeated, t.counts.reordered, t.counts.foreign)
}
