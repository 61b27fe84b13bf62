package feedhttp

import (
	"errors"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/problem"
)

// Outcome is whether an event without an acknowledgement is stored.
type Outcome string

// Outcomes of failed publishes. Repeating an event whose outcome is OutcomeUnknown may store it
// a second time, unless it has an id.
const (
	OutcomeNotStored Outcome = "not_stored"
	OutcomeUnknown   Outcome = "unknown"
)

func outcomeOf(err error) Outcome {
	if errors.Is(err, feed.ErrNotStored) {
		return OutcomeNotStored
	}
	return OutcomeUnknown
}

// worse returns the error that a batch is answered with. An unknown outcome goes before an error that a
// repeat may solve, and that before any other.
func worse(a, b error) error {
	if severity(b) > severity(a) {
		return b
	}
	return a
}

func severity(err error) int {
	if err == nil {
		return 0
	}
	switch storeProblem(err).Code {
	case problem.OutcomeUnknown:
		return 4
	case problem.StoreUnavailable:
		return 3
	case problem.StoreFull:
		return 2
	}
	return 1
}
