package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tidemark/tidemark/pkg/client"
)

// EventPrinter prints the events of a feed, and the losses of its connection.
type EventPrinter interface {
	Event(ev client.Event) error
	Disconnected(err error, wait time.Duration)
	// AlreadyComplete reports an end without an event of the server for it.
	AlreadyComplete() error
}

// NewEventPrinter returns a printer of `POSITION TYPE DATA`, with further lines of data indented. Events go to
// out, everything else to err.
func NewEventPrinter(out, err io.Writer) EventPrinter { return &plainPrinter{out, err} }

// NewJSONEventPrinter returns a printer of one JSON object a line.
func NewJSONEventPrinter(out io.Writer) EventPrinter { return &jsonPrinter{out} }

type plainPrinter struct{ out, err io.Writer }

func (p *plainPrinter) Event(ev client.Event) error {
	switch {
	case ev.Open != nil:
		verb := "from"
		if ev.Open.Resumed {
			verb = "resumed after"
		}
		return p.note("connected, %s %s, %d pending, %s", verb, ev.Open.Position, ev.Open.Pending, strings.Join(ev.Open.Subjects, " "))
	case ev.Gap != nil:
		return p.note("GAP (%s): events after %s cannot be delivered; continuing after %s", ev.Gap.Reason, ev.Gap.Requested, ev.Gap.ContinuesAfter)
	case ev.Close != nil:
		return p.note("the server closes the connection (%s): %s", ev.Close.Reason, ev.Close.Message)
	case ev.Kind == client.KindControl:
		return p.note("%s %s", ev.Type, ev.Data)
	}
	typ := ev.Type
	if typ == "" {
		typ = "message"
	}
	_, err := fmt.Fprintf(p.out, "%s %s %s\n", Escape(ev.ID), Escape(typ), indented(ev.Data))
	return err
}

func (p *plainPrinter) Disconnected(err error, wait time.Duration) {
	_ = p.note("disconnected (%v); reconnecting in %s", err, wait.Round(time.Millisecond))
}

func (p *plainPrinter) AlreadyComplete() error { return p.note("already complete") }

func (p *plainPrinter) note(format string, args ...any) error {
	_, err := fmt.Fprintln(p.err, "--", Escape(fmt.Sprintf(format, args...)))
	return err
}

func indented(data []byte) string {
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		lines[i] = Escape(line)
	}
	return strings.Join(lines, "\n    ")
}

// jsonPrinter prints data that is a JSON object or array unchanged, and all other data as a string: JSON
// strings, numbers and literals too, so that "hi" with its quotes and hi without them differ.
type jsonPrinter struct{ w io.Writer }

type jsonEvent struct {
	Kind  string          `json:"kind"`
	ID    string          `json:"id,omitempty"`
	Event string          `json:"event,omitempty"`
	Data  json.RawMessage `json:"data,omitempty"`
	Error string          `json:"error,omitempty"`
	Wait  int64           `json:"wait_ms,omitempty"`
}

func (p *jsonPrinter) Event(ev client.Event) error {
	data, err := embedded(ev.Data)
	if err != nil {
		return err
	}
	return p.print(jsonEvent{Kind: kindName(ev.Kind), ID: ev.ID, Event: ev.Type, Data: data})
}

func embedded(data []byte) (json.RawMessage, error) {
	text := bytes.TrimLeft(data, " \t\r\n")
	if len(text) > 0 && (text[0] == '{' || text[0] == '[') && json.Valid(text) {
		return text, nil
	}
	return json.Marshal(string(data))
}

func (p *jsonPrinter) Disconnected(err error, wait time.Duration) {
	_ = p.print(jsonEvent{Kind: "disconnected", Error: err.Error(), Wait: wait.Milliseconds()})
}

// AlreadyComplete prints nothing: the server has sent no event.
func (p *jsonPrinter) AlreadyComplete() error { return nil }

func (p *jsonPrinter) print(ev jsonEvent) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false) // for terminals and jq, not for pages
	if err := enc.Encode(ev); err != nil {
		return err
	}
	_, err := fmt.Fprintln(p.w, escapeJSON(strings.TrimSuffix(line.String(), "\n")))
	return err
}

func kindName(k client.Kind) string {
	switch k {
	case client.KindMessage:
		return "event"
	case client.KindOpen:
		return "open"
	case client.KindGap:
		return "gap"
	case client.KindClose:
		return "close"
	}
	return "control"
}
