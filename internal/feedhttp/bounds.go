package feedhttp

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/tidemark/tidemark/pkg/auth"
)

// MaxQuery bounds the query of a request, in bytes; a longer one is refused with 400. That is
// room for MaxSubjects subjects and a token.
const MaxQuery = 8 << 10

func checkQuery(r *http.Request) error {
	if n := len(r.URL.RawQuery); n > MaxQuery {
		return badRequest("the query has %d bytes; at most %d are taken: ask for fewer subjects (wildcards help), or send the token as a header", n, MaxQuery)
	}
	return nil
}

// rateError refuses events of an address that publishes too fast.
type rateError struct {
	perSecond int
	wait      time.Duration
}

func (e *rateError) Error() string {
	return fmt.Sprintf("this address publishes faster than %d events a second (limits.publishes_per_second); send it again in %s s", e.perSecond, e.retryAfter())
}

// retryAfter is in whole seconds, as the header has it.
func (e *rateError) retryAfter() string {
	return strconv.Itoa(max(int(math.Ceil(e.wait.Seconds())), 1))
}

// admit counts what a publish request brings: one event before its body is read, the others
// once they are known. It answers a refusal itself.
func (p *publisher) admit(w http.ResponseWriter, r *http.Request, events int) bool {
	err := checkQuery(r)
	if err == nil {
		err = p.opts.Admission.admitPublish(r, events)
	}
	if err == nil {
		return true
	}
	p.report(r, auth.Identity{}, err)
	if fast, ok := errors.AsType[*rateError](err); ok {
		w.Header().Set("Retry-After", fast.retryAfter())
		WriteProblem(w, Problem{Status: http.StatusTooManyRequests, Detail: fast.Error()})
		return false
	}
	Refuse(w, err)
	return false
}

// errSlowBody is of a body that took longer than PublishOptions.BodyTimeout.
var errSlowBody = errors.New("the body took too long to come; nothing of it is stored, send it again")

// readBody bounds the time that a body takes. Without it a client that sends a byte a minute
// would keep a goroutine for as long as it likes.
func (p *publisher) readBody(w http.ResponseWriter, body io.Reader) ([]byte, error) {
	c := http.NewResponseController(w)
	// An error is of a writer that is no connection's: there is nothing to guard.
	guarded := c.SetReadDeadline(time.Now().Add(p.opts.BodyTimeout)) == nil
	read, err := io.ReadAll(body)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, errSlowBody
	case err != nil:
		return nil, err // the deadline stays, for what net/http still reads of it
	case guarded:
		_ = c.SetReadDeadline(time.Time{}) // else the request's context would end with it
	}
	return read, nil
}
