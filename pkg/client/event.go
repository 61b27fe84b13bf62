package client

import (
	"encoding/json"
	"strings"
)

// Kind is the kind of an Event.
type Kind int

const (
	// KindMessage is a published event.
	KindMessage Kind = iota
	// KindOpen is the first event of every connection.
	KindOpen
	// KindGap announces undeliverable events.
	KindGap
	// KindClose announces the end of the connection by the server. Follow reconnects, unless the
	// reason is CloseComplete.
	KindClose
	// KindControl is a control event of an unknown type, or with invalid JSON.
	KindControl
)

// Event is one event of a feed. It belongs to the caller.
type Event struct {
	Kind Kind
	Type string // may be empty
	ID   string // the position once this event is handled; empty before the first position
	Data []byte // the payload; JSON for control events

	// At most one is set, depending on Kind.
	Open  *Open
	Gap   *Gap
	Close *Close
}

// Open describes the start of a connection.
type Open struct {
	Stream   string   `json:"stream"`
	Position string   `json:"position"`
	Resumed  bool     `json:"resumed"` // the server accepted the client's position
	Pending  uint64   `json:"pending"` // approximate number of events to replay first
	Subjects []string `json:"subjects"`

	Identity        string `json:"identity"`         // an opaque tag of the account; see GET /identity
	IdentityChanged bool   `json:"identity_changed"` // the position belongs to another account and was ignored
}

// Gap describes undeliverable events.
type Gap struct {
	// Reason is trimmed, epoch, future, malformed or possible.
	Reason         string `json:"reason"`
	Requested      string `json:"requested"`       // the client's position
	FirstAvailable string `json:"first_available"` // the oldest stored event
	ContinuesAfter string `json:"continues_after"` // the next event comes after this position
}

// CloseComplete is the reason of a Close with [Options.UntilEnd] when all subjects are complete.
const CloseComplete = "complete"

// Close gives the reason for the end of a connection by the server.
type Close struct {
	Reason  string `json:"reason"`
	RetryMS int64  `json:"retry_ms"` // delay before the reconnect; 0 means no recommendation
	Message string `json:"message"`
}

func (c *Close) complete() bool { return c != nil && c.Reason == CloseComplete }

const (
	controlPrefix = "tidemark."
	openType      = controlPrefix + "open"
	positionType  = controlPrefix + "position"
	gapType       = controlPrefix + "gap"
	closeType     = controlPrefix + "close"
)

// classify sets Kind, and parses the payload of a control event. A control event with invalid JSON
// becomes KindControl. Its id is still the new position.
func (e *Event) classify() {
	if !strings.HasPrefix(e.Type, controlPrefix) {
		return
	}
	e.Kind = KindControl
	switch e.Type {
	case openType:
		e.Open = parse[Open](e, KindOpen)
	case gapType:
		e.Gap = parse[Gap](e, KindGap)
	case closeType:
		e.Close = parse[Close](e, KindClose)
	}
}

func parse[T any](e *Event, kind Kind) *T {
	v := new(T)
	if json.Unmarshal(e.Data, v) != nil {
		return nil
	}
	e.Kind = kind
	return v
}
