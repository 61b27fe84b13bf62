package feedhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/auth"
)

// parseUntil reads ?until=end: the connection ends when the subjects of ?subject= are complete.
func parseUntil(query url.Values) (untilEnd bool, err error) {
	if untilEnd, err = flag(query, "until", "end"); err != nil || !untilEnd {
		return false, err
	}
	if len(query["subject"]) == 0 {
		return false, badRequest("?until=end ends with the subjects of ?subject=; name at least one")
	}
	for _, s := range query["subject"] {
		if strings.ContainsAny(s, "*>") {
			return false, badRequest("?until=end: ?subject=%s has a wildcard, which more subjects may match later; name each subject", s)
		}
	}
	return true, nil
}

// filters returns the subjects of a connection, and whether it ends with them.
func (h *Subscribe) filters(id auth.Identity, query url.Values) (filters []string, untilEnd bool, err error) {
	only, err := flag(query, "only", "1")
	if err != nil {
		return nil, false, err
	}
	if untilEnd, err = parseUntil(query); err != nil {
		return nil, false, err
	}
	filters, err = h.opts.Filters(id, query["subject"], only || untilEnd)
	if err == nil && untilEnd {
		err = checkUntilEnd(query["subject"], filters)
	}
	return filters, untilEnd, err
}

// checkUntilEnd refuses a connection that would end without the events of a subject that it requested,
// because a token leaves it out. The answer does not depend on stored events.
func checkUntilEnd(requested, filters []string) error {
	for _, s := range requested {
		if !slices.Contains(filters, s) {
			return &auth.Error{Status: http.StatusForbidden, Err: problem.SubjectForbidden, Detail: fmt.Sprintf(
				"?until=end: the token does not grant ?subject=%s, and the connection would end without its events", s)}
		}
	}
	return nil
}

// checkComplete reports whether a client that resumes has received the ends of all its subjects, so that
// nothing is left to send. The status 204 makes an EventSource stop.
//
//   - A page of JSON reports it by itself, with a position.
//   - It blocks for lastWait at most. Without an answer by then it reports false: the connection opens, and
//     ends with tidemark.close once the store has answered.
//   - Requests that need the store count among Limits.LastWaiting; the error is for those beyond it.
func (h *Subscribe) checkComplete(r *http.Request, s *session) (bool, error) {
	if !s.request.UntilEnd || s.page != nil {
		return false, nil
	}
	complete, known := h.opts.Feed.TryComplete(s.request.Filters, s.request.Start)
	if known || h.opts.Feed.LostFor() > 0 { // the store would not answer
		return complete, nil
	}
	release, err := h.opts.Admission.admitLast(s.user, r)
	if err != nil {
		return false, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(r.Context(), lastWait)
	defer cancel()
	complete, err = h.opts.Feed.Complete(ctx, s.request.Filters, s.request.Start)
	return err == nil && complete, nil
}

// pollUntilEnd polls the subscription. The error engine.ErrComplete ends the response normally.
func (s *session) pollUntilEnd(room int) (d feed.Delivery, behind bool, err error) {
	d, behind, err = s.sub.Poll(room)
	if errors.Is(err, feed.ErrComplete) {
		err = engine.ErrComplete
	}
	return d, behind, err
}

// answerComplete answers a client that has received everything.
func answerComplete(w http.ResponseWriter, form Form) {
	setHeaders(w.Header(), form)
	w.Header().Del("Content-Type")
	w.WriteHeader(http.StatusNoContent)
}
