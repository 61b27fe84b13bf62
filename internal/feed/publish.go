package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemark/tidemark/internal/subject"
)

// MaxTypeLen and MaxIDLen bound an event's type and message id, in bytes.
const (
	MaxTypeLen = 128
	MaxIDLen   = 256
)

// ControlPrefix begins the types of Tidemark's own events, and the subjects of its own messages;
// publishers may use neither.
const ControlPrefix = "tidemark."

// Message is an event to be published.
type Message struct {
	Subject string // concrete: no wildcards
	Type    string // event type; empty for none
	Data    []byte
	ID      string       // for deduplication within the stream's duplicate window; empty for none
	Trace   TraceContext // stored with it
	// End completes the subject: the message is the last one, until another one follows. It may have no data.
	End bool
	// Header has further headers that are stored with it, such as Content-Type, by their names.
	// NATS compares names with their case, and has meanings for those that begin with Nats-.
	Header map[string]string
	// TTL is how long the stream keeps the message, in whole seconds; zero is as long as others.
	// A stream without allow_msg_ttl rejects messages that have one.
	TTL time.Duration
}

// Ack is the place of a stored message.
type Ack struct {
	Stream    string
	Position  Position
	Duplicate bool // a message with this ID was there already, at Position
	// Sourced reports that clients receive the message from another stream, which sources Stream.
	// Position is that in Stream; the position in the other stream is not known yet.
	Sourced bool
}

// Result is the outcome of one Message.
type Result struct {
	Ack Ack
	Err error
}

// Publisher stores messages. Publish blocks until each is acknowledged or has failed, and
// returns one Result a message, in order. Messages that fail Validate are not sent.
type Publisher interface {
	Publish(ctx context.Context, msgs ...Message) []Result
}

// Errors of Publisher, besides *InvalidError and those of the context. An error that is
// ErrNotStored, by [errors.Is], is definite: this publish has stored nothing, and repeating it
// cannot store the message twice. Any other error, ErrUnavailable alone among them, leaves open
// whether the message is stored. ErrUnavailable together with ErrNotStored passes by itself:
// the message was not stored, and the same publish may succeed later.
var (
	ErrNotStored   = errors.New("the message is not stored")
	ErrUnavailable = errors.New("the message store is not available")

	// The following are ErrNotStored.

	ErrSubjectNotStored error = definite("no stream stores this subject")
	ErrTooLarge         error = definite("the message is larger than the server or the stream accepts")
	ErrFull             error = definite("the stream, its account or its server is full")
	ErrRejected         error = definite("the stream does not accept the message")
)

// definite is an error that is ErrNotStored.
type definite string

func (d definite) Error() string        { return string(d) }
func (d definite) Is(target error) bool { return target == ErrNotStored }

// InvalidError names the field of a Message to change, and the reason.
type InvalidError struct {
	Field  string // subject, event, id, ttl, or the name of a header
	Reason string
	// Misspelt reports that a token of the subject is not the canonical encoding of a value; Reason
	// has the right spelling.
	Misspelt bool
}

func (e *InvalidError) Error() string { return e.Field + ": " + e.Reason }

// Is reports that the error is ErrNotStored.
func (e *InvalidError) Is(target error) bool { return target == ErrNotStored }

// Validate returns an *InvalidError for the first invalid field.
func (m Message) Validate() error {
	if err := subject.Check(m.Subject); err != nil {
		_, misspelt := errors.AsType[*subject.SpellingError](err)
		return &InvalidError{Field: "subject", Reason: err.Error(), Misspelt: misspelt}
	}
	if m.Subject[0] == '$' || strings.HasPrefix(m.Subject, "_INBOX.") {
		// A publish to $JS.API.STREAM.DELETE.X would be carried out, and answered.
		return &InvalidError{Field: "subject", Reason: fmt.Sprintf("%q is reserved for NATS itself", m.Subject)}
	}
	if strings.HasPrefix(m.Subject, ControlPrefix) {
		// A publish to tidemark.revoke would end connections.
		return &InvalidError{Field: "subject", Reason: fmt.Sprintf("%q is reserved: subjects below %q are for Tidemark itself", m.Subject, ControlPrefix)}
	}
	if err := CheckType(m.Type); err != nil {
		return &InvalidError{Field: "event", Reason: err.Error()}
	}
	if len(m.ID) > MaxIDLen || !subject.Printable(m.ID) || strings.TrimSpace(m.ID) != m.ID {
		// NATS cuts outer spaces off headers, so that two ids would be one.
		return &InvalidError{Field: "id", Reason: fmt.Sprintf("must be at most %d bytes without control characters or outer spaces", MaxIDLen)}
	}
	if m.TTL < 0 || m.TTL%time.Second != 0 {
		return &InvalidError{Field: "ttl", Reason: fmt.Sprintf("%v is not a number of whole seconds", m.TTL)}
	}
	return checkHeader(m.Header)
}

// ownHeaders are written from other fields of a Message, in lower case.
var ownHeaders = []string{"event-type", "traceparent", "tracestate", "tidemark-end"}

func checkHeader(header map[string]string) error {
	for name, value := range header {
		lower := strings.ToLower(name)
		switch {
		case name == "" || strings.Trim(lower, headerNameChars) != "":
			return &InvalidError{Field: name, Reason: "a header has a name of letters, digits, '-' and '_'"}
		case strings.HasPrefix(lower, "nats-") || slices.Contains(ownHeaders, lower):
			return &InvalidError{Field: name, Reason: "is reserved; NATS or Tidemark gives this header a meaning"}
		case !subject.Printable(value) || strings.TrimSpace(value) != value:
			// NATS cuts outer spaces off headers.
			return &InvalidError{Field: name, Reason: "must be UTF-8 without control characters or outer spaces"}
		}
	}
	return nil
}

const headerNameChars = "abcdefghijklmnopqrstuvwxyz0123456789-_"

// CheckType returns an error for an event type with a reserved or invalid name. The empty type is valid.
func CheckType(t string) error {
	switch {
	case t == "error" || t == "open":
		return fmt.Errorf("%q is reserved: EventSource gives it a meaning of its own", t)
	case strings.HasPrefix(t, ControlPrefix):
		return fmt.Errorf("the prefix %q is reserved for control events", ControlPrefix)
	case len(t) > MaxTypeLen || !subject.Printable(t) || strings.TrimSpace(t) != t:
		return fmt.Errorf("must be at most %d bytes of UTF-8 without control characters or outer spaces", MaxTypeLen)
	}
	return nil
}
