package feedhttp

import (
	"errors"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
)

// Why the server closes a connection.
var (
	errMaxAge   = errors.New("the connection has reached its maximum age")
	errIdle     = errors.New("the connection was idle for too long")
	errExpired  = errors.New("the token has expired")
	errRevoked  = errors.New("the grant was revoked")
	errDrain    = errors.New("the server is draining")
	errOverload = errors.New("the limit of connections or replays is reached")
	errLimit    = errors.New("too many connections of one user or address")
	errLast     = errors.New("too many starts at the latest event of many subjects, of one user or address")
	errSubjects = errors.New("the start at the latest event of each subject matches too many subjects")
	errAdmin    = errors.New("an operator closed the connection")
	errRate     = errors.New("too many connects from one address")
)

// closeEvents has the content of tidemark.close for each reason. A connection that ends for another
// reason, such as that the client disconnected, gets no such event.
var closeEvents = map[error]struct {
	reason  CloseReason
	message string
	later   bool // reconnect after RetryLater instead of Retry
}{
	errMaxAge:          {CloseMaxAge, "this connection has reached its maximum age; reconnect to continue", false},
	errIdle:            {CloseIdle, "nothing was sent for a long time; reconnect to continue", false},
	errExpired:         {CloseExpired, "the token of this connection has expired; reconnect with a new one", false},
	errRevoked:         {CloseRevoked, "the grant of this connection was revoked; sign in again", true},
	errDrain:           {CloseDrain, "this node is draining; reconnect", false},
	errAdmin:           {CloseAdmin, "an operator closed this connection; reconnect to continue", false},
	engine.ErrComplete: {CloseComplete, "all subjects of this connection are complete; do not reconnect", false},
	feed.ErrClosed:     {CloseDrain, "this feed is shutting down; reconnect to continue", false},
	errOverload:        {CloseOverload, "this server has reached its limit of connections; reconnect later", true},
	errRate:            {CloseLimit, "too many connects from this address; reconnect later", true},
	errLast:            {CloseLimit, "too many connections of this user or address wait for the latest events of their subjects; reconnect later", true},
	errSubjects:        {CloseLimit, "from=last matches more subjects than are read (limits.last_subjects); name fewer with subject= and only=1", true},
	errLimit:           {CloseLimit, "too many connections are open for this user or address; close some, or reconnect later", true},
}

// appendCloseEventLocked appends tidemark.close with the reason, and when to reconnect.
func (s *session) appendCloseEventLocked(dst []byte) []byte {
	event, ok := closeEvents[s.closeErr]
	if !ok {
		return dst
	}
	retry := s.handler.opts.Retry
	if event.later {
		retry = s.handler.opts.RetryLater
	}
	return s.controls.close(dst, event.reason, event.message, jitter(retry, 0.5))
}
