package sse

import (
	"bytes"
	"encoding/base64"
)

// Event is one event of a stream.
type Event struct {
	// Type is the event name that clients register listeners for. Empty means "message".
	Type string

	// Data is the payload. In a decoded event its lines are joined with LF.
	Data []byte

	// ID is the value of Last-Event-ID when the client reconnects. The encoder writes no id
	// line if it is empty. The decoder sets it to the last id received, in this event or an
	// earlier one. It is a slice so that a position can be encoded from a buffer on the stack.
	ID []byte
}

// Clone returns a deep copy of e. Use it to keep a decoded event beyond the next call of
// [Decoder.Next].
func (e Event) Clone() Event {
	return Event{Type: e.Type, Data: bytes.Clone(e.Data), ID: bytes.Clone(e.ID)}
}

// binaryPrefix marks a payload that is not UTF-8.
const binaryPrefix = "data:application/octet-stream;base64,"

// Binary decodes a data URL written by [AppendEvent], and reports whether data is one.
// It cannot distinguish such a URL from the same text sent by a publisher.
func Binary(data []byte) (raw []byte, ok bool) {
	b64, ok := bytes.CutPrefix(data, []byte(binaryPrefix))
	if !ok {
		return nil, false
	}
	raw, err := base64.StdEncoding.AppendDecode(nil, b64)
	return raw, err == nil
}
