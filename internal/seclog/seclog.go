// Package seclog writes the security log of a node: refused logins, publishes, operators and
// limits, and the actions of operators that were accepted.
//
// Each action has one line a request while requests are rare. Beyond a burst of 20 lines and one
// a second lines are left out and counted, and the count is written with the next line of that
// action, at the latest ten seconds after the first that was left out. So a flood costs the log
// about as much as an idle node, and no refusal is without a trace. Memory is bounded: actions are
// few, and nothing of a request is kept.
package seclog

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Action is what a request wanted.
type Action string

// The actions.
const (
	Login    Action = "login"    // to open a connection as somebody
	Publish  Action = "publish"  // to store an event
	Presence Action = "presence" // to list connections
	Operate  Action = "operate"  // to use the admin API
	Connect  Action = "connect"  // to open a connection within the limits
	Host     Action = "host"     // to be served at a host name
	Header   Action = "header"   // to be the user that a header names
)

const (
	burst    = 20
	interval = time.Second
	// flushAfter is how long a count waits for another line of its action.
	flushAfter = 10 * time.Second
)

// Event is one refused request.
type Event struct {
	Action Action
	Reason string // for operators; nothing secret
	Remote string // the client's address
	User   string // empty when it is not known; a logger may hash it
	Key    string // the name of the API key, or the jti of the token; empty when not known
	Path   string // of the request, without its query
}

// Log writes the security log. Safe for concurrent use. The zero value and nil write nothing.
type Log struct {
	logger *slog.Logger

	mu      sync.Mutex
	actions map[Action]*state
	closed  bool
}

// state is the rate of one action.
type state struct {
	spent   int // of burst
	since   time.Time
	omitted int
	flush   *time.Timer // nil while nothing is omitted
}

// New returns a log that writes to logger.
func New(logger *slog.Logger) *Log { return &Log{logger: logger, actions: map[Action]*state{}} }

// Close writes what was left out. Nothing is written afterwards.
func (l *Log) Close() {
	if l == nil || l.logger == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for action, s := range l.actions {
		l.flushLocked(action, s)
	}
}

// Refused writes a line for a request that was refused, or counts it. It does not block.
func (l *Log) Refused(e Event) { l.write("request rejected", e) }

// Ignored writes a line for a request of which a part was ignored, or counts it. It does not block.
func (l *Log) Ignored(e Event) { l.write("identity header ignored", e) }

func (l *Log) write(message string, e Event) {
	if l == nil || l.logger == nil {
		return
	}
	l.mu.Lock()
	omitted, ok := l.allowLocked(e.Action, time.Now())
	l.mu.Unlock()
	if !ok {
		return
	}
	attrs := []slog.Attr{slog.String("action", string(e.Action)), slog.String("reason", truncate(e.Reason)), slog.String("remote", e.Remote)}
	for _, a := range []slog.Attr{slog.String("user", e.User), slog.String("key", e.Key), slog.String("path", truncate(e.Path))} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if omitted > 0 {
		attrs = append(attrs, slog.Int("omitted", omitted))
	}
	l.logger.LogAttrs(context.Background(), slog.LevelWarn, message, attrs...)
}

// Accepted writes a line for an action of an operator. key is the name of the API key; empty for a
// program of this machine.
func (l *Log) Accepted(what, key, remote string, attrs ...slog.Attr) {
	if l == nil || l.logger == nil {
		return
	}
	attrs = append([]slog.Attr{slog.String("action", string(Operate)), slog.String("what", what), slog.String("remote", remote), slog.String("key", key)}, attrs...)
	l.logger.LogAttrs(context.Background(), slog.LevelWarn, "operator action", attrs...)
}

// allowLocked reports whether a line may be written, and how many were left out before it.
func (l *Log) allowLocked(action Action, now time.Time) (omitted int, ok bool) {
	s := l.actions[action]
	if s == nil {
		s = &state{since: now}
		l.actions[action] = s
	}
	if refilled := int(now.Sub(s.since) / interval); refilled > 0 {
		s.spent, s.since = max(s.spent-refilled, 0), now
	}
	if s.spent >= burst || l.closed {
		s.omitted++
		if s.flush == nil && !l.closed {
			s.flush = time.AfterFunc(flushAfter, func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				if !l.closed {
					l.flushLocked(action, s)
				}
			})
		}
		return 0, false
	}
	s.spent++
	omitted, s.omitted = s.omitted, 0
	return omitted, true
}

func (l *Log) flushLocked(action Action, s *state) {
	if s.flush != nil {
		s.flush.Stop()
		s.flush = nil
	}
	if s.omitted == 0 {
		return
	}
	l.logger.LogAttrs(context.Background(), slog.LevelWarn, "requests refused", slog.String("action", string(action)), slog.Int("omitted", s.omitted))
	s.omitted = 0
}

// maxText bounds a text of a line, in bytes.
const maxText = 200

func truncate(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "…"
	}
	return s
}
