package feedhttp

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/auth"
)

// IngestOutcome is the end of an event stream of a publisher.
type IngestOutcome uint8

// The outcomes that are counted. After all but IngestEnded the subject is open.
const (
	IngestEnded    IngestOutcome = iota // an event of it completes the subject
	IngestOpen                          // the body ended
	IngestBroken                        // the body broke off, or ended within an event
	IngestIdle                          // nothing arrived for PublishOptions.IdleTimeout
	IngestInvalid                       // an event is not valid, or the body is not an event stream
	IngestConflict                      // earlier events were stored again, outside of the duplicate window
	IngestRejected                      // the identity does not permit the event, or no longer
	IngestFailed                        // the store did not store an event
	IngestStopped                       // Admission.StopIngests
	ingestOutcomes
)

var ingestOutcomeNames = [ingestOutcomes]string{"ended", "open", "broken", "idle", "invalid", "conflict", "rejected", "failed", "stopped"}

// String returns the label in metrics.
func (o IngestOutcome) String() string { return ingestOutcomeNames[o] }

func ingestOutcomeOf(err error, ended bool) IngestOutcome {
	_, denied := errors.AsType[*auth.Error](err)
	_, failed := errors.AsType[*storeError](err)
	switch {
	case err == nil && ended:
		return IngestEnded
	case err == nil:
		return IngestOpen
	case errors.Is(err, problem.BodyBroken):
		return IngestBroken
	case errors.Is(err, problem.BodyTimeout):
		return IngestIdle
	case errors.Is(err, problem.Conflict):
		return IngestConflict
	case errors.Is(err, problem.Unavailable):
		return IngestStopped
	case failed:
		return IngestFailed
	case denied:
		return IngestRejected
	}
	return IngestInvalid
}

// ingests counts event streams that are published.
type ingests struct {
	open  atomic.Int64
	ended [ingestOutcomes]atomic.Uint64

	stopping context.Context
	stop     context.CancelFunc
}

// StopIngests ends the event streams of publishers, open ones and later ones, with 503 before their next event. It does
// not block.
func (a *Admission) StopIngests() { a.ingests.stop() }

// Ingests returns the number of open event streams of publishers, and of ended ones by outcome. It has all outcomes,
// also those that did not occur.
func (a *Admission) Ingests() (open int, ended map[IngestOutcome]uint64) {
	ended = make(map[IngestOutcome]uint64, ingestOutcomes)
	for o := range ingestOutcomes {
		ended[o] = a.ingests.ended[o].Load()
	}
	return int(a.ingests.open.Load()), ended
}
