package feedhttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// lastWait is how long the answer to ?from=last waits until the subjects are counted. A client that
// the store keeps waiting longer is answered with 200, and learns of the bound by tidemark.close.
const lastWait = 2 * time.Second

// lastStarts counts the connections that wait for the latest event of each of many subjects.
type lastStarts struct {
	mu        sync.Mutex
	all       int
	users     map[string]int
	addresses map[netip.Prefix]int
}

func (a *Admission) lastSubjects() int {
	if a == nil {
		return 0
	}
	return a.limits.LastSubjects
}

// last counts a connection that starts at the latest event of each of more than feed.FewSubjects
// subjects. The caller calls release, once or more often, when the start has been made.
func (a *Admission) last(user string, r *http.Request) (release func(), err error) {
	if a == nil {
		return func() {}, nil
	}
	addr := addressOf(r, a.trusted)
	c := &a.lasts
	c.mu.Lock()
	defer c.mu.Unlock()
	switch l := a.limits; {
	case reached(l.LastWaiting, c.all):
		a.refuse(RefusedLastWaiting)
		return nil, errOverload
	case user != "" && reached(l.LastWaitingPerUser, c.users[user]):
		a.refuse(RefusedLastWaitingPerUser)
		return nil, errLast
	case reached(l.LastWaitingPerAddress, c.addresses[addr]):
		a.refuse(RefusedLastWaitingPerAddress)
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

// checkLast looks at what ?from=last costs. It blocks for lastWait at most. The error is for the
// client, and final: the same request has the same answer.
func (h *Subscribe) checkLast(r *http.Request, s *session) error {
	if !s.request.Start.Last() {
		return nil
	}
	wait := lastWait
	if h.opts.Feed.LostFor() > 0 {
		wait = 0 // no answer would come; it is not needed for every request
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	n, err := h.opts.Feed.LastSubjects(ctx, s.request.Filters, s.request.MaxLastSubjects)
	if many, ok := errors.AsType[*feed.TooManySubjectsError](err); ok {
		h.refusedLast(s, many)
		return badRequest("?from=last: %d subjects or more match, and the latest event of at most %d is read (limits.last_subjects); "+
			"name fewer with ?subject= and ?only=1, or begin at another place, such as ?from=10m", many.Subjects, many.Limit)
	}
	s.request.costly = err != nil || n > feed.FewSubjects
	return nil
}

func (h *Subscribe) refusedLast(s *session, many *feed.TooManySubjectsError) {
	h.opts.Admission.refuse(RefusedLastSubjects)
	h.opts.Logger.LogAttrs(context.Background(), slog.LevelInfo, "subscribe request rejected: from=last matches too many subjects (limits.last_subjects)",
		append(s.who(nil), slog.Int("subjects", many.Subjects), slog.Int("limit", many.Limit), slog.Any("filters", s.request.Filters))...)
}

// admitLast counts a connection whose start costs the store much.
func (h *Subscribe) admitLast(r *http.Request, s *session) (err error) {
	if s.request.costly {
		s.request.release, err = h.opts.Admission.last(s.user, r)
	}
	return err
}

// startRequest is what a connection asks for, until it has its subscription.
type startRequest struct {
	feed.SubscribeOptions
	costly  bool   // for the store
	release func() // of Admission.last; nil where it does not count
}

// done gives back what waiting for the start took.
func (r *startRequest) done() {
	if r != nil && r.release != nil {
		r.release()
	}
}
