package feedhttp

import (
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// Observer receives the begin and the end of each accepted connection.
//
//   - Connected comes before the first byte of the connection, and Disconnected once after the last.
//   - The calls must return at once. They may call no method of Conn but Info: locks may be held.
type Observer interface {
	Connected(s Conn)
	// Disconnected has a reason of EndReasons.
	Disconnected(s Conn, reason string)
}

// Conn is a handle of one connection. Conns can be compared, and are as small as a pointer, so that an
// observer may keep one for each of very many clients.
type Conn struct{ s *session }

// ConnInfo is the constant part of a connection.
type ConnInfo struct {
	ID     uint64 // counted from 1 by the Admission
	User   string // empty for an anonymous client
	Feed   string // SubscribeOptions.Name
	Remote string // the client's address from trusted proxies, else the peer with its port
	Since  time.Time
}

// Connection is a snapshot of a connection.
type Connection struct {
	ConnInfo
	Position feed.Position // the last id that was sent; zero before tidemark.open
	Filters  int           // subjects, after they were merged
	Events   int           // sent
	State    ConnectionState
	Form     string // see Form
}

// ConnectionState is the phase of a connection, for operators.
type ConnectionState string

// The states of a connection.
const (
	Waiting   ConnectionState = "waiting" // for the first answer of the store
	Replaying ConnectionState = "replaying"
	Live      ConnectionState = "live"
	Ended     ConnectionState = "ended"
)

// Info may be called at any time, and takes no lock.
func (c Conn) Info() ConnInfo {
	s := c.s
	return ConnInfo{ID: s.id, User: s.user, Feed: s.handler.opts.Name, Remote: s.remote, Since: s.start}
}

// Position returns the last id on the wire. It costs less than [Conn.Connection].
func (c Conn) Position() feed.Position {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.sent.position
}

// Connection returns a snapshot. It waits for a turn of writing that is under way.
func (c Conn) Connection() Connection {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	now := Connection{ConnInfo: c.Info(), Position: s.sent.position, Events: s.sent.events, State: Waiting, Form: s.controls.form.String()}
	switch {
	case s.state == stateClosed:
		now.State = Ended
	case s.sub != nil:
		now.State = Replaying
		if s.sub.State() == feed.Live {
			now.State = Live
		}
	}
	if s.sub != nil {
		now.Filters = len(s.sub.Filters())
	}
	return now
}

// Connections returns snapshots of the open connections, in no order, some 200 bytes each.
func (h *Subscribe) Connections() []Connection {
	sessions := h.sessions()
	all := make([]Connection, len(sessions))
	for i, s := range sessions {
		all[i] = Conn{s}.Connection()
	}
	return all
}
