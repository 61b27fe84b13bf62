package feedhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/auth"
)

// fieldError is an invalid part of the body of a publish request.
type fieldError struct {
	field  string
	reason string
	code   problem.Code // InvalidEvent if empty
}

func (e *fieldError) Error() string { return e.field + ": " + e.reason }

// badRequest refuses a request whose query or header is not valid.
func badRequest(format string, args ...any) error {
	return &auth.Error{Status: http.StatusBadRequest, Detail: fmt.Sprintf(format, args...)}
}

// refuse answers a request with the problem of an error.
func refuse(w http.ResponseWriter, err error) { problem.Write(w, requestProblem(err)) }

// requestProblem maps an error of a request to its answer. Errors other than [auth.Error] are about the
// body of a publish request.
func requestProblem(err error) problem.Document {
	d := problem.Of(err)
	if _, denied := errors.AsType[*auth.Error](err); denied {
		return d
	}
	d.Code = problem.InvalidEvent
	if field, ok := errors.AsType[*fieldError](err); ok {
		d.Field = field.field
		if field.code != "" {
			d.Code = field.code
		}
	}
	if stream, ok := errors.AsType[*streamError](err); ok {
		d.Code = stream.code
	}
	if fast, ok := errors.AsType[*rateError](err); ok {
		d.Code, d.RetryAfter = problem.RateLimited, fast.retryAfter()
	}
	if tooBig, ok := errors.AsType[*http.MaxBytesError](err); ok {
		d.Code, d.Detail = problem.BodyTooLarge, fmt.Sprintf("the body is larger than %d bytes (publish.max_bytes)", tooBig.Limit)
	}
	if errors.Is(err, errSlowBody) {
		d.Code = problem.BodyTimeout
	}
	return d
}

// storeProblem maps an error of a feed.Publisher to an answer. An error that is not known to be definite
// is 503: a publisher must not conclude that the event is not stored.
func storeProblem(err error) problem.Document {
	d := problem.Document{Detail: err.Error(), Outcome: string(outcomeOf(err))}
	switch {
	case d.Outcome == string(OutcomeUnknown):
		d.Code = problem.OutcomeUnknown
		d.Detail = "the event store did not acknowledge in time, so whether the event is stored is not known; repeat it with the same id, which makes it a duplicate if it is"
	case errors.Is(err, feed.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		d.Code = problem.StoreUnavailable
		d.Detail = "the event store is not available, and the event is not stored; repeat it later"
	case errors.Is(err, feed.ErrTooLarge):
		d.Code = problem.EventTooLarge
	case errors.Is(err, feed.ErrSubjectNotStored):
		d.Code = problem.Undeliverable
	case errors.Is(err, feed.ErrRejected):
		d.Code = problem.EventRejected
	case errors.Is(err, feed.ErrFull):
		d.Code = problem.StoreFull
		d.Detail += "; the event is not stored: make room, or raise the limit"
	default:
		d.Code = problem.InvalidEvent
	}
	return d
}

// refuseMethod answers a request with a method that a handler does not serve, and OPTIONS.
func refuseMethod(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	problem.Write(w, problem.Document{Code: problem.MethodNotAllowed, Detail: r.Method + " is not served here; use " + allow})
}
