package feedhttp

import (
	"encoding/json"
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

	// TypeMeta is a comment for who asks with ?meta=1, and never an event.
	TypeComment = feed.ControlPrefix + "meta"
)

// Open is the data of tidemark.open.
type OpenEvent struct {
	Stream   string   `json:"stream"`
	Position string   `json:"position"` // delivery begins with the first event after it
	Resumed  bool     `json:"resumed"`  // it continues where the client left off
	Pending  uint64   `json:"pending"`  // events to catch up on
	Subjects []string `json:"subjects"`
	// Identity is the opaque tag of the account that the connection is for, as GET /identity has it.
	Identity string `json:"identity,omitempty"`
	// IdentityChanged reports that ?identity= had the tag of another account, so that the position
	// of the request was ignored.
	IdentityChanged bool `json:"identity_changed,omitempty"`
}

// append writes o as encoding/json does. Every connect sends one, and most of what they cost would be
// the look at the type.
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

// appendText appends a JSON string. What is more than plain ASCII is left to encoding/json.
func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c >= 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return append(dst, asJSON(s)...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// Gap is the data of tidemark.gap.
type GapEvent struct {
	Reason         feed.Reason `json:"reason"`
	Requested      string      `json:"requested"`
	FirstAvailable string      `json:"first_available"`
	ContinuesAfter string      `json:"continues_after"`
}

// At is the data of tidemark.position.
type PositionEvent struct {
	Position string `json:"position"`
}

// Close is the data of tidemark.close.
type CloseEvent struct {
	Reason  CloseReason `json:"reason"`
	RetryMS int64       `json:"retry_ms"` // come back after this long
	Message string      `json:"message"`
}

// OpenMeta is the first comment of a stream with ?meta=1. What comes up to Last was stored
// before the stream was opened.
type OpenComment struct {
	Now  int64  `json:"now_ms"` // the node's clock, Unix time
	Last string `json:"last"`   // how far the node had read the log
}

// EventMeta is the comment before each event of a stream with ?meta=1.
type EventComment struct {
	Subject string `json:"subject"`
	Stored  int64  `json:"stored_ms"` // Unix time
}

// CloseReason says why the server ends a stream.
type CloseReason string

// The reasons of tidemark.close.
const (
	CloseDrain    CloseReason = "drain"
	CloseMaxAge   CloseReason = "max-age"
	CloseIdle     CloseReason = "idle"
	CloseExpired  CloseReason = "token-expired" // come back with another token
	CloseRevoked  CloseReason = "revoked"       // so was what it was opened with
	CloseOverload CloseReason = "overload"      // the node has all the streams it can take
	CloseLimit    CloseReason = "limit"         // so has the user, or the address
	CloseAdmin    CloseReason = "admin"         // an operator ended this one stream
)

// controls encodes control events, as comments for clients that want none.
type controls struct{ asComments bool }

// append appends a control event. The id may be empty.
func (c controls) append(dst []byte, typ, id string, data any) []byte {
	return c.encoded(dst, typ, id, asJSON(data))
}

func asJSON(data any) []byte {
	text, err := json.Marshal(data)
	if err != nil {
		panic(err) // of our own types and strings, which have no way to fail
	}
	return text
}

func (c controls) encoded(dst []byte, typ, id string, text []byte) []byte {
	if c.asComments {
		return sse.AppendComment(dst, typ+" "+string(text))
	}
	return sse.AppendEvent(dst, sse.Event{ID: []byte(id), Type: typ, Data: text})
}

// meta appends what only few want to know as a comment, so that the frames are the same for
// everybody and every client skips it that does not look for it.
func (c controls) meta(dst []byte, data any) []byte {
	return sse.AppendComment(dst, TypeComment+" "+string(asJSON(data)))
}

func (c controls) open(dst []byte, stream string, sub *feed.Subscription, id *opening) []byte {
	o := sub.Opening()
	var most [512]byte
	dst = c.encoded(dst, TypeOpen, o.ID, OpenEvent{
		Stream: stream, Position: o.Position.String(), Resumed: o.Resumed,
		Pending: o.Pending, Subjects: sub.Filters(), Identity: id.tag, IdentityChanged: id.changed,
	}.append(most[:0]))
	if o.Gap != nil {
		dst = c.gap(dst, o.Gap)
	}
	return dst
}

func (c controls) gap(dst []byte, g *feed.Gap) []byte {
	after := g.Continues.String()
	return c.append(dst, TypeGap, after, GapEvent{
		Reason: g.Reason, Requested: g.Requested,
		FirstAvailable: g.FirstAvailable.String(), ContinuesAfter: after,
	})
}

func (c controls) position(dst []byte, p feed.Position) []byte {
	return c.append(dst, TypePosition, p.String(), PositionEvent{p.String()})
}

func (c controls) farewell(dst []byte, reason CloseReason, message string, retry time.Duration) []byte {
	dst = sse.AppendRetry(dst, retry)
	return c.append(dst, TypeClose, "", CloseEvent{reason, retry.Milliseconds(), message})
}
