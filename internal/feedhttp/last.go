package feedhttp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/auth"
)

// lastWait bounds how long the answer to ?from=last waits for the count of subjects. Where the store takes
// longer, the answer is 200, and a limit that is exceeded is reported with tidemark.close.
const lastWait = 2 * time.Second

// lastStarts counts the connections that wait for the latest event of each of many subjects.
type lastStarts struct {
	mu        sync.Mutex
	all       int
	users     map[string]int
	addresses map[netip.Prefix]int
}

// admitLast counts a connection that starts at the latest event of each of more than feed.FewSubjects
// subjects. The caller calls release, once or more often, when the start is made.
func (a *Admission) admitLast(user string, r *http.Request) (release func(), err error) {
	addr := addressOf(r, a.trusted)
	c := &a.last
	c.mu.Lock()
	defer c.mu.Unlock()
	switch l := a.limits; {
	case reached(l.LastWaiting, c.all):
		a.Refuse(RefusedLastWaiting)
		return nil, errOverload
	case user != "" && reached(l.LastWaitingPerUser, c.users[user]):
		a.Refuse(RefusedLastWaitingPerUser)
		return nil, errLast
	case reached(l.LastWaitingPerAddress, c.addresses[addr]):
		a.Refuse(RefusedLastWaitingPerAddress)
		return nil, errLast
	}
	c.countLocked(user, addr, 1)
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.countLocked(user, addr, -1)
	}), nil
}

func (c *lastStarts) countLocked(user string, addr netip.Prefix, by int) {
	c.all += by
	if user != "" {
		count(c.users, user, by)
	}
	count(c.addresses, addr, by)
}

// checkLast counts the subjects of ?from=last. It blocks for lastWait at most. The error is final: the
// same request gets the same answer.
func (h *Subscribe) checkLast(r *http.Request, s *session) error {
	if !s.request.Start.Last() {
		return nil
	}
	wait := lastWait
	if h.opts.Feed.LostFor() > 0 {
		wait = 0 // the store would not answer
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	n, err := h.opts.Feed.LastSubjects(ctx, s.request.Filters, s.request.MaxLastSubjects)
	if many, ok := errors.AsType[*feed.TooManySubjectsError](err); ok {
		h.rejectTooManySubjects(s, many)
		return &auth.Error{Status: http.StatusBadRequest, Err: problem.TooManySubjects, Detail: fmt.Sprintf(
			"?from=last: %d subjects or more match, and the latest event of at most %d is read (limits.last_subjects); "+
				"name fewer with ?subject= and ?only=1, or begin at another place, such as ?from=10m", many.Subjects, many.Limit)}
	}
	s.request.costly = err != nil || n > feed.FewSubjects
	return nil
}

// rejectTooManySubjects counts and logs a start at the latest event of too many subjects.
func (h *Subscribe) rejectTooManySubjects(s *session, many *feed.TooManySubjectsError) {
	h.opts.Admission.Refuse(RefusedLastSubjects)
	h.opts.Logger.LogAttrs(context.Background(), slog.LevelInfo, "subscribe request rejected: from=last matches too many subjects (limits.last_subjects)",
		append(s.logFields(nil), slog.Int("subjects", many.Subjects), slog.Int("limit", many.Limit), slog.Any("filters", s.request.Filters))...)
}
