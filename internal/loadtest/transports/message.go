package transports

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// message is an event as every transport carries it: its position, by which a client resumes,
// and its data. In SSE they have fields of their own, elsewhere they are a JSON object.
type message struct {
	ID   string          `json:"id"`
	Data json.RawMessage `json:"data"`
}

// newMessage makes the nth event, with data of that size. All ids have the same length, so
// that events cost the same.
func newMessage(n, payload int) message {
	data := bytes.Repeat([]byte("x"), payload)
	data[0], data[payload-1] = '"', '"'
	return message{ID: position(n), Data: data}
}

func position(n int) string { return fmt.Sprintf("%d-k7f3q9", 1_000_000+n) }

func (m message) encode() []byte {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // newMessage made its JSON
	}
	return text
}

func decode(text []byte) (m message, err error) {
	if err := json.Unmarshal(text, &m); err != nil {
		return message{}, fmt.Errorf("an event that is no JSON: %w", err)
	}
	return m, nil
}

// is checks that what arrived is what was due.
func (m message) is(due message) error {
	if m.ID != due.ID {
		return fmt.Errorf("event %q arrived where %q was due", m.ID, due.ID)
	}
	if !bytes.Equal(m.Data, due.Data) {
		return fmt.Errorf("event %s arrived with other data, %d bytes of %d", m.ID, len(m.Data), len(due.Data))
	}
	return nil
}
