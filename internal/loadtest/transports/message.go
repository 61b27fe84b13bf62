package transports

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// message is an event: its position, at which a client resumes, and its data. SSE has fields for
// both; the other transports send a JSON object.
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
		return message{}, fmt.Errorf("an event that is not JSON: %w", err)
	}
	return m, nil
}

// check compares a received message with the expected one.
func (m message) check(want message) error {
	if m.ID != want.ID {
		return fmt.Errorf("event %q arrived and %q was expected", m.ID, want.ID)
	}
	if !bytes.Equal(m.Data, want.Data) {
		return fmt.Errorf("event %s arrived with other data, %d bytes of %d", m.ID, len(m.Data), len(want.Data))
	}
	return nil
}
