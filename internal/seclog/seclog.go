// Package seclog writes the security log of a node: rejected logins, publishes, admin requests and limits,
// and accepted admin requests.
//
// Use one [Log] per node:
//
//	log := seclog.New(logger)
//	defer log.Close()
//	log.Refused(seclog.Event{Action: seclog.Login, Reason: "token expired", Remote: addr})
//
// The rate of messages is limited per action: a burst of 20 messages, then one per second. Further
// messages are counted, and the next message of the action contains the count. It is written at most ten
// seconds after the first omitted one. A flood therefore costs little, and every rejected request is
// counted. Memory is limited, because there are few actions and requests are not stored.
package seclog

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Action is the action of a request.
type Action string

// The actions.
const (
	Login    Action = "login"    // to authenticate
	Publish  Action = "publish"  // to store an event
	Presence Action = "presence" // to list connections
	Operate  Action = "operate"  // to use the admin API
	Connect  Action = "connect"  // to exceed no limit of connections
	Host     Action = "host"     // to use an allowed host name
	Header   Action = "header"   // to use a trusted identity header
)

const (
	burst    = 20
	interval = time.Second
	// flushAfter is the longest time before a count is written without a further message.
	flushAfter = 10 * time.Second
)

// Event describes a rejected request.
type Event struct {
	Action Action
	Reason string // for operators; without secrets
	Remote string // the client's address
	User   string // empty if unknown; a logger may hash it
	Key    string // the name of the API key, or the jti of the token; empty if unknown
	Path   string // of the request, without its query
}

// Log writes the security log. It is safe for concurrent use. The zero value and nil write nothing.
type Log struct {
	logger *slog.Logger

	mu      sync.Mutex
	actions map[Action]*state
	closed  bool
}

// state is the rate state of an action.
type state struct {
	spent   int // of burst
	since   time.Time
	omitted int
	flush   *time.Timer // nil if no message is omitted
}

// New returns a Log for a logger.
func New(logger *slog.Logger) *Log { return &Log{logger: logger, actions: map[Action]*state{}} }

// Close writes the remaining counts. Later calls write nothing.
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

// Refused writes or counts a message about a rejected request. It does not block.
func (l *Log) Refused(e Event) { l.write("security: request rejected", e) }

// Ignored writes or counts a message about a request with an ignored part. It does not block.
func (l *Log) Ignored(e Event) { l.write("security: identity header ignored", e) }

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

// Accepted writes a message about an accepted admin request. key is the name of the API key; empty for a
// program of this machine.
func (l *Log) Accepted(what, key, remote string, attrs ...slog.Attr) {
	if l == nil || l.logger == nil {
		return
	}
	attrs = append([]slog.Attr{slog.String("action", string(Operate)), slog.String("what", what), slog.String("remote", remote), slog.String("key", key)}, attrs...)
	l.logger.LogAttrs(context.Background(), slog.LevelWarn, "security: admin request accepted", attrs...)
}

// allowLocked reports whether a message may be written, and the number of omitted messages before it.
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
	l.logger.LogAttrs(context.Background(), slog.LevelWarn, "security: requests rejected; their messages are omitted", slog.String("action", string(action)), slog.Int("omitted", s.omitted))
	s.omitted = 0
}

// maxText is the maximum length of a text in a message, in bytes.
const maxText = 200

func truncate(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "…"
	}
	return s
}
