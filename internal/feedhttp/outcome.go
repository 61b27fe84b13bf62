package feedhttp

import (
	"context"
	"errors"
	"net/http"

	"github.com/tidemark/tidemark/internal/feed"
)

// Outcome says of an event that was not acknowledged whether it is stored.
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

// storeProblem maps an error of a feed.Publisher to an answer. What is not known to be definite
// is 503, so that no publisher takes an event that may be stored for one that is not.
func storeProblem(err error) Problem {
	p := Problem{Status: http.StatusServiceUnavailable, Detail: err.Error(), Outcome: outcomeOf(err)}
	switch {
	case p.Outcome == OutcomeUnknown:
		p.Detail = "the event store did not acknowledge in time, so whether the event is stored is not known; repeat it with the same id, which makes it a duplicate if it is"
	case errors.Is(err, feed.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		p.Detail = "the event store is not available, and the event is not stored; repeat it later"
	case errors.Is(err, feed.ErrTooLarge):
		p.Status = http.StatusRequestEntityTooLarge
	case errors.Is(err, feed.ErrSubjectNotStored), errors.Is(err, feed.ErrRejected):
		p.Status = http.StatusUnprocessableEntity
	case errors.Is(err, feed.ErrFull):
		p.Status = http.StatusInsufficientStorage
		p.Detail += "; the event is not stored: make room, or raise the limit"
	default:
		p.Status = http.StatusBadRequest
	}
	return p
}

// worse returns the error that a batch is answered with: one that repeating the batch may solve
// goes before one that it cannot, and an unknown outcome goes first.
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
	switch p := storeProblem(err); {
	case p.Outcome == OutcomeUnknown:
		return 4
	case p.Status == http.StatusServiceUnavailable:
		return 3
	case p.Status == http.StatusInsufficientStorage:
		return 2
	}
	return 1
}
