package feedhttp

import (
	"errors"

	"github.com/tidemark/tidemark/internal/feed"
)

// Why a session ends on the server's side.
var (
	errMaxAge   = errors.New("the stream has reached its greatest age")
	errIdle     = errors.New("the stream was idle for too long")
	errExpired  = errors.New("the token has expired")
	errRevoked  = errors.New("the grant was revoked")
	errDrain    = errors.New("the server is draining")
	errOverload = errors.New("the server has all it can take")
	errLimit    = errors.New("too many streams of one user or address")
	errLast     = errors.New("too many starts at the latest event of many subjects, of one user or address")
	errSubjects = errors.New("the start at the latest event of each subject matches too many subjects")
	errAdmin    = errors.New("an operator closed the stream")
)

// farewells are what clients are told. An end without one is the client's own.
var farewells = map[error]struct {
	reason  CloseReason
	message string
	later   bool // not after the usual pause
}{
	errMaxAge:      {CloseMaxAge, "this stream has lasted its time; reconnect to go on", false},
	errIdle:        {CloseIdle, "nothing was sent for a long time; reconnect to go on", false},
	errExpired:     {CloseExpired, "the token of this stream has expired; reconnect with a new one", false},
	errRevoked:     {CloseRevoked, "the grant of this stream was revoked; sign in again", true},
	errDrain:       {CloseDrain, "this server goes down; reconnect to go on with another", false},
	errAdmin:       {CloseAdmin, "an operator ended this stream; reconnect to go on", false},
	feed.ErrClosed: {CloseDrain, "this feed goes down; reconnect to go on", false},
	errOverload:    {CloseOverload, "this server has all the streams that it can take; reconnect later", true},
	errRate:        {CloseLimit, "too many streams were asked for from this address; reconnect later", true},
	errLast:        {CloseLimit, "too many connections of this user or address wait for the latest event of many subjects; reconnect later", true},
	errSubjects:    {CloseLimit, "from=last matches more subjects than are read (limits.last_subjects); name fewer with subject= and only=1", true},
	errLimit:       {CloseLimit, "too many streams are open for this user or address; close some, or reconnect later", true},
}

// failLocked sets the reason to end. The first one stays: a later success of something that was
// under way must not clear it, and nil changes nothing.
func (s *session) failLocked(err error) {
	if s.failed == nil {
		s.failed = err
	}
}

// appendFarewellLocked says why the stream ends, and when to come back.
func (s *session) appendFarewellLocked(dst []byte, err error) []byte {
	farewell, ok := farewells[err]
	if !ok {
		return dst
	}
	s.begun = true // the farewell says itself when to retry
	retry := s.handler.opts.Retry
	if farewell.later {
		retry = s.handler.opts.RetryLater
	}
	return s.farewell(dst, farewell.reason, farewell.message, jitter(retry, 0.5))
}
