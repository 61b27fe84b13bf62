package client

import (
	"encoding/json"
	"strings"
)

// Kind says what an Event is.
type Kind int

const (
	// KindMessage is what somebody published.
	KindMessage Kind = iota
	// KindOpen begins every connection.
	KindOpen
	// KindGap says that events cannot be redelivered.
	KindGap
	// KindClose says that the server is about to end the stream. Follow reconnects.
	KindClose
	// KindControl is a control event that this version does not know or cannot read.
	KindControl
)

// Event is one event of a feed. It belongs to the caller.
type Event struct {
	Kind Kind
	Type string // empty for none
	ID   string // the position once this event is handled; empty while none is known
	Data []byte // the payload; of a control event, its JSON

	// One of these is set, by Kind.
	Open  *Open
	Gap   *Gap
	Close *Close
}

// Open says where a connection starts.
type Open struct {
	Stream   string   `json:"stream"`
	Position string   `json:"position"`
	Resumed  bool     `json:"resumed"` // the server took up the client's position
	Pending  uint64   `json:"pending"` // about how many events are behind and come first
	Subjects []string `json:"subjects"`

	Identity        string `json:"identity"`         // an opaque tag of the account; see GET /identity
	IdentityChanged bool   `json:"identity_changed"` // the position is of another account, and was ignored
}

// Gap says what cannot be redelivered.
type Gap struct {
	// Reason is trimmed, epoch, future, malformed or possible.
	Reason         string `json:"reason"`
	Requested      string `json:"requested"`       // the position that the client had
	FirstAvailable string `json:"first_available"` // the oldest event still stored
	ContinuesAfter string `json:"continues_after"` // the position from which the stream goes on
}

// Close says why the server ends the stream.
type Close struct {
	Reason  string `json:"reason"`
	RetryMS int64  `json:"retry_ms"` // how long to wait before the reconnect; 0 for no advice
	Message string `json:"message"`
}

const (
	controlPrefix = "tidemark."
	openType      = controlPrefix + "open"
	positionType  = controlPrefix + "position"
	gapType       = controlPrefix + "gap"
	closeType     = controlPrefix + "close"
)

// classify sets Kind and what belongs to it. A control event whose JSON does not parse is
// handed on as KindControl: its id counts all the same.
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
