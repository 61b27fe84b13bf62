package feed

import (
	"cmp"
	"slices"
)

// Bounds of the memory for deleted events.
const (
	maxDeletedSubjects = 16_384
	// maxDeletionMatches bounds the comparisons with wildcards of one call of matches while the feed is
	// locked, to about half a millisecond.
	maxDeletionMatches = 8_192
)

// deletions has the deleted sequences of a window. A subscription needs to find out whether any event after
// its position was deleted that matches its filters. For that, the latest deleted sequence of each subject is
// sufficient.
//
// Each round of removals has a number. A subscription that has announced a gap remembers the
// round, so that the same deletions are not announced again.
type deletions struct {
	round    uint64
	last     deletion            // of all
	skipped  deletion            // deleted before the tail could read them: their subjects are not known
	unknown  deletion            // skipped, and those whose subject was forgotten
	subjects map[string]deletion // of frames that the window held
}

// deletion is the latest sequence that was deleted, and the latest round in which some
// sequence was.
type deletion struct{ seq, round uint64 }

func newDeletions() deletions { return deletions{subjects: map[string]deletion{}} }

func (d deletion) and(later deletion) deletion {
	return deletion{max(d.seq, later.seq), max(d.round, later.round)}
}

// since reports whether there may be a deletion after the sequence that belongs to a later round.
func (d deletion) since(seq, round uint64) bool { return d.seq > seq && d.round > round }

// add remembers a frame that was removed in the present round.
func (d *deletions) add(f *Frame, low uint64) {
	now := deletion{f.Seq, d.round}
	d.last = d.last.and(now)
	d.subjects[f.Subject] = d.subjects[f.Subject].and(now)
	if len(d.subjects) > maxDeletedSubjects {
		d.forget(low)
	}
}

// skip remembers sequences up to seq that the tail did not see.
func (d *deletions) skip(seq uint64) {
	d.round++
	now := deletion{seq, d.round}
	d.last, d.skipped, d.unknown = d.last.and(now), d.skipped.and(now), d.unknown.and(now)
}

// forget makes room: deletions before low concern no position that the window covers, and of the
// others the older half counts as deletions of unknown subjects.
func (d *deletions) forget(low uint64) {
	type of struct {
		subject string
		deletion
	}
	var all []of
	for subject, del := range d.subjects {
		if del.seq <= low {
			delete(d.subjects, subject)
			continue
		}
		all = append(all, of{subject, del})
	}
	if len(all) <= maxDeletedSubjects/2 {
		return
	}
	slices.SortFunc(all, func(a, b of) int { return cmp.Compare(a.seq, b.seq) })
	for _, o := range all[:len(all)-maxDeletedSubjects/2] {
		d.unknown = d.unknown.and(o.deletion)
		delete(d.subjects, o.subject)
	}
}

// matches reports whether something was deleted after seq, in a later round than the given one,
// that one of the filters matches, or may match. It returns true where more than maxDeletionMatches
// comparisons with wildcards would be needed.
func (d *deletions) matches(seq, round uint64, filters []string) bool {
	switch {
	case !d.last.since(seq, round):
		return false
	case d.unknown.since(seq, round):
		return true
	case !wild(filters):
		return slices.ContainsFunc(filters, func(f string) bool { return d.subjects[f].since(seq, round) })
	}
	left := maxDeletionMatches
	for subject, del := range d.subjects {
		if !del.since(seq, round) {
			continue
		}
		if left -= len(filters); left < 0 || matchesAny(filters, subject) {
			return true
		}
	}
	return false
}
