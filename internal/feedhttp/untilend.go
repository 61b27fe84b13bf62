package feedhttp

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

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
//   - It blocks for lastWait at most. Without an answer by then it reports false: the connection opens, and
//     ends with tidemark.close once the store has answered.
//   - Requests that need the store count among Limits.LastWaiting; the error is for those beyond it.
func (h *Subscribe) checkComplete(r *http.Request, s *session) (bool, error) {
	if !s.request.UntilEnd {
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

// answerComplete answers a client that has received everything.
func answerComplete(w http.ResponseWriter, form Form) {
	setHeaders(w.Header(), form)
	w.Header().Del("Content-Type")
	w.WriteHeader(http.StatusNoContent)
}
