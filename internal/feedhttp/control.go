package feedhttp

import (
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/pkg/sse"
)

// The types of control events.
const (
	TypeOpen     = feed.ControlPrefix + "open"
	TypePosition = feed.ControlPrefix + "position"
	TypeGap      = feed.ControlPrefix + "gap"
	TypeClose    = feed.ControlPrefix + "close"

	// TypeComment begins the comments of ?meta=1. It is never the type of an event.
	TypeComment = feed.ControlPrefix + "meta"
)

// OpenEvent is the data of tidemark.open.
type OpenEvent struct {
	Stream   string   `json:"stream"`
	Position string   `json:"position"` // delivery begins with the first event after it
	Resumed  bool     `json:"resumed"`  // it continues where the client left off
	Pending  uint64   `json:"pending"`  // events to catch up on
	Subjects []string `json:"subjects"`
	// Identity is the opaque tag of the account that the connection is for, as in GET /identity.
	Identity string `json:"identity,omitempty"`
	// IdentityChanged reports that ?identity= had the tag of another account, so that the position
	// of the request was ignored.
	IdentityChanged bool `json:"identity_changed,omitempty"`
}

// append writes o as encoding/json does. Every connect sends one, and reflection would be most of its
// cost.
func (o OpenEvent) append(dst []byte) []byte {
	dst = appendText(append(dst, `{"stream":`...), o.Stream)
	dst = appendText(append(dst, `,"position":`...), o.Position)
	dst = strconv.AppendBool(append(dst, `,"resumed":`...), o.Resumed)
	dst = strconv.AppendUint(append(dst, `,"pending":`...), o.Pending, 10)
	dst = append(dst, `,"subjects":`...)
	dst = appendTexts(dst, o.Subjects)
	if o.Identity != "" {
		dst = appendText(append(dst, `,"identity":`...), o.Identity)
	}
	if o.IdentityChanged {
		dst = append(dst, `,"identity_changed":true`...)
	}
	return append(dst, '}')
}

func appendTexts(dst []byte, texts []string) []byte {
	if texts == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, '[')
	for i, text := range texts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, text)
	}
	return append(dst, ']')
}

// appendText appends a JSON string. It leaves all but plain ASCII to encoding/json.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c >= 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return append(dst, asJSON(s)...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// GapEvent is the data of tidemark.gap.
type GapEvent struct {
	Reason         feed.Reason `json:"reason"`
	Requested      string      `json:"requested"`
	FirstAvailable string      `json:"first_available"`
	ContinuesAfter string      `json:"continues_after"`
}

// PositionEvent is the data of tidemark.position.
type PositionEvent struct {
	Position string `json:"position"`
}

// CloseEvent is the data of tidemark.close.
type CloseEvent struct {
	Reason  CloseReason `json:"reason"`
	RetryMS int64       `json:"retry_ms"` // reconnect after this delay
	Message string      `json:"message"`
}

// OpenComment is the first comment of a connection with ?meta=1. Events up to Last were stored
// before the connection was opened.
type OpenComment struct {
	Now  int64  `json:"now_ms"` // the node's clock, Unix time
	Last string `json:"last"`   // the last position that the node had read
}

func (c OpenComment) append(dst []byte) []byte { return append(dst, asJSON(c)...) }

// EventComment is the comment before each event of a connection with ?meta=1.
type EventComment struct {
	Subject string `json:"subject"`
	Stored  int64  `json:"stored_ms"` // Unix time
}

// append writes c as encoding/json does. Each delivery of an event has one, and reflection would cost several
// times as much as the rest of the delivery.
func (c EventComment) append(dst []byte) []byte {
	dst = appendText(append(dst, `{"subject":`...), c.Subject)
	dst = strconv.AppendInt(append(dst, `,"stored_ms":`...), c.Stored, 10)
	return append(dst, '}')
}

// CloseReason is why the server closes a connection.
type CloseReason string

// The reasons of tidemark.close.
const (
	CloseDrain    CloseReason = "drain"
	CloseMaxAge   CloseReason = "max-age"
	CloseIdle     CloseReason = "idle"
	CloseExpired  CloseReason = "token-expired" // reconnect with another token
	CloseRevoked  CloseReason = "revoked"       // the token or identity that it was opened with
	CloseOverload CloseReason = "overload"      // a limit of the node: connections or replays
	CloseLimit    CloseReason = "limit"         // a limit of the user or the address
	CloseAdmin    CloseReason = "admin"         // an operator closed this connection
	CloseComplete CloseReason = "complete"      // ?until=end: the client has everything, and need not reconnect
)

// controlWriter encodes control events in the form that a client requested.
type controlWriter struct {
	asComments      bool // ?control=off: comments, which clients ignore
	heartbeatEvents bool // ?heartbeat=event: heartbeats are events, not comments
	withMeta        bool // ?meta=1: a comment before each event
	form            Form
	source          *string // of CloudEvents; see sourceOf
}

// parseControls reads the parameters of a query.
func parseControls(query url.Values, form Form, source *string) (c controlWriter, err error) {
	c.form, c.source = form, source
	envelope, err := flag(query, "envelope", "1")
	if err != nil {
		return c, err
	}
	if envelope && form == FormSSE {
		c.form = FormEnvelope
	}
	if c.heartbeatEvents, err = flag(query, "heartbeat", "event"); err != nil {
		return c, err
	}
	if c.asComments, err = flag(query, "control", "off"); err != nil {
		return c, err
	}
	c.withMeta, err = flag(query, "meta", "1")
	c.heartbeatEvents = c.heartbeatEvents && !c.asComments
	c.withMeta = c.withMeta && !c.lines() // each line has the subject and the time
	return c, err
}

func asJSON(data any) []byte {
	text, err := json.Marshal(data)
	if err != nil {
		panic(err) // types and strings of this package cannot fail
	}
	return text
}

// lines reports that the response has no syntax of SSE.
func (c controlWriter) lines() bool { return c.form >= FormNDJSON }

// append appends a control event. The id may be empty.
func (c controlWriter) append(dst []byte, typ, id string, text []byte) []byte {
	if c.lines() {
		if c.asComments {
			return append(dst, '\n') // lines have no comments
		}
		return c.line(dst, typ, id, text)
	}
	if c.asComments {
		return sse.AppendComment(dst, typ+" "+string(text))
	}
	return sse.AppendEvent(dst, sse.Event{ID: []byte(id), Type: typ, Data: text})
}

// meta appends a comment. Events are encoded once for all clients, and clients ignore comments.
func (c controlWriter) meta(dst []byte, data interface{ append([]byte) []byte }) []byte {
	return append(data.append(append(dst, ": "+TypeComment+" "...)), "\n\n"...)
}

func (c controlWriter) open(dst []byte, stream string, sub *feed.Subscription, id identityTag) []byte {
	o := sub.StartInfo()
	var most [512]byte
	dst = c.append(dst, TypeOpen, o.ID, OpenEvent{
		Stream: stream, Position: o.Position.String(), Resumed: o.Resumed,
		Pending: o.Pending, Subjects: sub.Filters(), Identity: id.tag, IdentityChanged: id.changed,
	}.append(most[:0]))
	if o.Gap != nil {
		dst = c.gap(dst, o.Gap)
	}
	return dst
}

func (c controlWriter) gap(dst []byte, g *feed.Gap) []byte {
	event := newGapEvent(g)
	return c.append(dst, TypeGap, event.ContinuesAfter, asJSON(event))
}

func newGapEvent(g *feed.Gap) GapEvent {
	return GapEvent{
		Reason: g.Reason, Requested: g.Requested,
		FirstAvailable: g.FirstAvailable.String(), ContinuesAfter: g.Continues.String(),
	}
}

func (c controlWriter) position(dst []byte, p feed.Position) []byte {
	return c.append(dst, TypePosition, p.String(), asJSON(PositionEvent{p.String()}))
}

func (c controlWriter) close(dst []byte, reason CloseReason, message string, retry time.Duration) []byte {
	dst = c.retry(dst, retry)
	return c.append(dst, TypeClose, "", asJSON(CloseEvent{reason, retry.Milliseconds(), message}))
}

// retry appends the delay before a reconnect. Lines have it in tidemark.close alone.
func (c controlWriter) retry(dst []byte, delay time.Duration) []byte {
	if c.lines() {
		return dst
	}
	return sse.AppendRetry(dst, delay)
}

// heartbeat appends what clients ignore.
func (c controlWriter) heartbeat(dst []byte) []byte {
	if c.lines() {
		return append(dst, '\n')
	}
	return sse.AppendComment(dst, "")
}
