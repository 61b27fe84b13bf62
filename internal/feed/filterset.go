package feed

import (
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server/gsl"

	"github.com/tidemark/tidemark/internal/subject"
)

// filterSet is the filters of one subscription, prepared for reading the window.
//
// It is made for each read rather than kept: 64 filters take about 15 µs, and a set for each
// connection would cost more memory than the rest of an idle subscription.
type filterSet struct {
	filters  []string // empty for all subjects, as in JetStream
	wildcard bool     // filters do not name the subjects themselves
	compiled *gsl.SimpleSublist
}

// compileFrom is the number of filters from which compiling pays: up to two, comparing
// one after the other is faster than the list (60 to 120 ns against 130 ns a subject).
const compileFrom = 3

func newFilterSet(filters []string) filterSet {
	s := filterSet{filters: filters, wildcard: wild(filters)}
	if s.wildcard && len(filters) >= compileFrom {
		s.compiled = gsl.NewSimpleSublist()
		for _, filter := range filters {
			_ = s.compiled.Insert(filter, struct{}{}) // Subscribe has checked the filters
		}
	}
	return s
}

// matches reports whether a concrete subject matches at least one filter.
func (s filterSet) matches(subject string) bool {
	if s.compiled != nil {
		return s.compiled.HasInterest(subject)
	}
	return matchesAny(s.filters, subject)
}

// wild reports that filters do not name the subjects themselves.
func wild(filters []string) bool {
	return len(filters) == 0 || slices.ContainsFunc(filters, hasWildcard)
}

// matchesAny treats no filters as all subjects, as JetStream does.
func matchesAny(filters []string, name string) bool {
	return len(filters) == 0 || slices.ContainsFunc(filters, func(f string) bool { return subject.Matches(f, name) })
}

func hasWildcard(filter string) bool { return strings.ContainsAny(filter, "*>") }
