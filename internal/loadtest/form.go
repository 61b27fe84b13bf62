package loadtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Form names a form of events. Clients request it.
type Form string

// The forms. All but [FormSSE] are those of Tidemark.
const (
	FormSSE      Form = "sse"      // as they were published
	FormEnvelope Form = "envelope" // SSE with CloudEvents JSON as the data
	FormNDJSON   Form = "ndjson"   // a line of CloudEvents JSON for each event
	FormJSON     Form = "json"     // pages of CloudEvents JSON: a client polls, and the server waits for the first event
)

var forms = []Form{FormSSE, FormEnvelope, FormNDJSON, FormJSON}

// pollWait is how many seconds the server waits for the first event of a page, the most that Tidemark allows. The first
// poll of a connection does not wait: its answer has the position, and shows that the client is connected.
const pollWait = 55

// accept returns the header Accept.
func (f Form) accept() string {
	switch f {
	case FormNDJSON:
		return "application/x-ndjson"
	case FormJSON:
		return "application/json"
	default:
		return "text/event-stream"
	}
}

// addQuery adds the parameters of a form to a path.
func (f Form) addQuery(path string, firstPoll bool) string {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	switch {
	case f == FormEnvelope:
		return path + separator + "envelope=1"
	case f == FormJSON && firstPoll:
		return path + separator + "wait=0"
	case f == FormJSON:
		return fmt.Sprintf("%s%swait=%d", path, separator, pollWait)
	}
	return path
}

// parse calls found for each event in a part of a body. It leaves the rest in s. Pages are parsed at their end.
func (f Form) parse(s *blockParser, b []byte, found func(fields)) {
	switch f {
	case FormNDJSON:
		s.parse(b, lineEnd, func(line []byte) { found(parseEnvelope(line)) })
	case FormEnvelope:
		s.parse(b, blockEnd, func(block []byte) { found(parseEnvelopeBlock(block)) })
	case FormJSON:
		s.partial = append(s.partial, b...)
	default:
		s.parse(b, blockEnd, func(block []byte) { found(parseBlock(block)) })
	}
}

func lineEnd(b []byte) (end, size int) { return bytes.IndexByte(b, '\n'), 1 }

// parseEnvelope returns the fields of an event in CloudEvents JSON. They are empty for a heartbeat, and for other text.
func parseEnvelope(text []byte) fields {
	var e struct {
		ID   string          `json:"id"`
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if len(text) == 0 || json.Unmarshal(text, &e) != nil {
		return fields{}
	}
	return fields{event: []byte(e.Type), id: []byte(e.ID), data: e.Data}
}

// parseEnvelopeBlock returns the fields of an event whose data is CloudEvents JSON. An envelope that contradicts its event
// is not counted, so that its event is lost.
func parseEnvelopeBlock(block []byte) fields {
	f := parseBlock(block)
	if bytes.HasPrefix(f.event, []byte("tidemark.")) {
		return f
	}
	e := parseEnvelope(f.data)
	if !bytes.Equal(e.id, f.id) || len(f.event) > 0 && !bytes.Equal(e.event, f.event) {
		return fields{id: f.id}
	}
	return e
}

// parsePage returns the events of a page, the position after it, and the number of its gaps, which lie before the events.
func parsePage(text []byte) (events []fields, position string, gaps int, err error) {
	var p struct {
		Events   []json.RawMessage `json:"events"`
		Position string            `json:"position"`
		Gaps     []json.RawMessage `json:"gaps"`
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, "", 0, fmt.Errorf("a page that is not JSON: %w", err)
	}
	for _, e := range p.Events {
		events = append(events, parseEnvelope(e))
	}
	return events, p.Position, len(p.Gaps), nil
}
