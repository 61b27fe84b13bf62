package feedhttp

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/pkg/auth"
)

// Observer hears of each stream that is let in, and of its end. The calls must return at once,
// and may ask the Stream for nothing but Who, as locks of it may be held. Connected comes
// before the stream's first byte, and Disconnected once after its last.
type Observer interface {
	Connected(s Conn)
	// Disconnected tells why: one of EndReasons.
	Disconnected(s Conn, reason string)
}

// Stream stands for one client's stream. Streams can be compared, and are as small as a
// pointer, so that an observer may keep one for each of very many clients.
type Conn struct{ s *session }

// Who is what stays as it is for the life of a stream.
type ConnInfo struct {
	ID     uint64 // counted from 1 by the Admission, or by the handler without one
	User   string // empty for the anonymous
	Feed   string // SubscribeOptions.Name
	Remote string // the client as the trusted proxies tell it, else the peer with its port
	Since  time.Time
}

// Connection is a stream at one moment.
type Connection struct {
	ConnInfo
	Position feed.Position // the last id that was sent; zero before the stream is open
	Filters  int           // subjects, after they were merged
	Events   int           // sent
	State    ConnectionState
}

// ConnectionState is what a stream does.
type ConnectionState string

// The states of a stream.
const (
	Waiting   ConnectionState = "waiting" // for the log's first answer
	Replaying ConnectionState = "replaying"
	Live      ConnectionState = "live"
	Ended     ConnectionState = "ended"
)

// Who may be called at any time, and takes no lock.
func (c Conn) Info() ConnInfo {
	s := c.s
	return ConnInfo{ID: s.id, User: s.user, Feed: s.handler.opts.Name, Remote: s.remote, Since: s.start}
}

// Position is Connection's alone, for less.
func (c Conn) Position() feed.Position {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.sent
}

// Connection looks at the stream. It waits for a turn of writing that is under way.
func (c Conn) Connection() Connection {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	now := Connection{ConnInfo: c.Info(), Position: s.sent, Events: s.events, State: Waiting}
	switch {
	case s.ended != nil:
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

// Connections are the streams there are now, in no order. It looks at one after the other,
// some 200 bytes each.
func (h *Subscribe) Connections() []Connection {
	streams := h.present()
	all := make([]Connection, len(streams))
	for i, s := range streams {
		all[i] = Conn{s}.Connection()
	}
	return all
}

// observe tells of a stream that is let in.
func (h *Subscribe) observe(s *session) {
	if h.opts.Observer == nil || h.draining() {
		return
	}
	s.seen = true
	h.opts.Observer.Connected(Conn{s})
}

// partLocked tells of the end of a stream that was observed.
func (s *session) partLocked() {
	if s.seen {
		s.handler.opts.Observer.Disconnected(Conn{s}, endReason(s.ended))
	}
}

func endReason(err error) string {
	if farewell, ok := farewells[err]; ok {
		return string(farewell.reason)
	}
	switch {
	case errors.Is(err, engine.ErrGone):
		return "gone"
	case errors.Is(err, engine.ErrTimeout):
		return "timeout"
	case errors.Is(err, engine.ErrClosed):
		return "closed"
	}
	return "error"
}

// nextID counts the streams of all handlers that share the Admission.
func (h *Subscribe) nextID() uint64 {
	if a := h.opts.Admission; a != nil {
		return a.serial.Add(1)
	}
	return h.serial.Add(1)
}

// remote is where a request comes from, with the peer's port where the peer is the client.
func (a *Admission) remote(r *http.Request) string {
	if a == nil || len(a.trusted) == 0 {
		return r.RemoteAddr
	}
	client := auth.ClientAddr(r, a.trusted)
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !client.IsValid() || peer.Addr().Unmap() == client {
		return r.RemoteAddr
	}
	return client.String()
}
