package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tidemark/tidemark/pkg/client"
)

// plainPrinter prints for people: `POSITION TYPE DATA`, further lines of data indented.
type plainPrinter struct{ out, err io.Writer }

func (p *plainPrinter) event(ev client.Event) error {
	switch {
	case ev.Open != nil:
		verb := "from"
		if ev.Open.Resumed {
			verb = "resumed after"
		}
		return p.note("connected, %s %s, %d pending, %s", verb, ev.Open.Position, ev.Open.Pending, strings.Join(ev.Open.Subjects, " "))
	case ev.Gap != nil:
		return p.note("GAP (%s): what followed %s cannot be had; going on after %s", ev.Gap.Reason, ev.Gap.Requested, ev.Gap.ContinuesAfter)
	case ev.Close != nil:
		return p.note("the server ends the stream (%s): %s", ev.Close.Reason, ev.Close.Message)
	case ev.Kind == client.KindControl:
		return p.note("%s %s", ev.Type, ev.Data)
	}
	typ := ev.Type
	if typ == "" {
		typ = "message"
	}
	_, err := fmt.Fprintf(p.out, "%s %s %s\n", printable(ev.ID), printable(typ), indented(ev.Data))
	return err
}

func (p *plainPrinter) disconnected(err error, wait time.Duration) {
	_ = p.note("disconnected (%v), again in %s", err, wait.Round(time.Millisecond))
}

func (p *plainPrinter) note(format string, args ...any) error {
	_, err := fmt.Fprintln(p.err, "--", printable(fmt.Sprintf(format, args...)))
	return err
}

func indented(data []byte) string {
	lines := strings.Split(string(data), "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n    ")
}

// printable escapes what could steer a terminal: events are other people's text.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, steers) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if steers(r) || r == utf8.RuneError {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// steers finds controls, and the format characters that turn the direction of text.
func steers(r rune) bool {
	return unicode.IsControl(r) && r != '\t' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// jsonPrinter prints one object a line. Data that is a JSON object or array stands as such,
// anything else as a string. A string, number or word of JSON is no exception, or "hi" with
// its quotes and hi without them would be printed alike.
type jsonPrinter struct{ w io.Writer }

type jsonEvent struct {
	Kind  string          `json:"kind"`
	ID    string          `json:"id,omitempty"`
	Event string          `json:"event,omitempty"`
	Data  json.RawMessage `json:"data,omitempty"`
	Error string          `json:"error,omitempty"`
	Wait  int64           `json:"wait_ms,omitempty"`
}

func (p *jsonPrinter) event(ev client.Event) error {
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

func (p *jsonPrinter) disconnected(err error, wait time.Duration) {
	_ = p.print(jsonEvent{Kind: "disconnected", Error: err.Error(), Wait: wait.Milliseconds()})
}

func (p *jsonPrinter) print(ev jsonEvent) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false) // for terminals and jq, not for pages
	if err := enc.Encode(ev); err != nil {
		return err
	}
	_, err := fmt.Fprintln(p.w, printableJSON(strings.TrimSuffix(line.String(), "\n")))
	return err
}

// printJSON writes a value as JSON with an indent, for terminals and jq.
func printJSON(out io.Writer, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if _, err := fmt.Fprintln(out, printableJSON(line)); err != nil {
			return err
		}
	}
	return nil
}

// printableJSON is what printable is to text. In a line of JSON such characters stand within
// strings alone, where \u says the same.
func printableJSON(line string) string {
	if !strings.ContainsFunc(line, steers) {
		return line
	}
	var b strings.Builder
	for _, r := range line {
		if steers(r) {
			fmt.Fprintf(&b, `\u%04x`, r) // all of them lie below U+10000
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
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
