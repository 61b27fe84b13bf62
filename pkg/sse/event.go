package sse

import (
	"bytes"
	"encoding/base64"
)

// Event is one event of a stream.
type Event struct {
	// Type is the name that clients listen for. Empty means "message".
	Type string

	// Data is the payload. In a decoded event its lines are joined with LF.
	Data []byte

	// ID is what a client sends as Last-Event-ID when it comes back. When encoding, an
	// empty ID writes no id line; when decoding, it is the last id that the stream has
	// named, in this event or before. It is a slice so that a position can be encoded from
	// a buffer on the stack.
	ID []byte
}

// Clone returns a copy that shares no memory with e, to keep a decoded event beyond the
// next call of [Decoder.Next].
func (e Event) Clone() Event {
	return Event{Type: e.Type, Data: bytes.Clone(e.Data), ID: bytes.Clone(e.ID)}
}

// binaryPrefix marks a payload that is not UTF-8.
const binaryPrefix = "data:application/octet-stream;base64,"

// Binary returns the bytes behind data that [AppendEvent] wrote as a data URL, and whether
// data is such a URL. Text that a publisher wrote in that very form is one too.
func Binary(data []byte) (raw []byte, ok bool) {
	b64, ok := bytes.CutPrefix(data, []byte(binaryPrefix))
	if !ok {
		return nil, false
	}
	raw, err := base64.StdEncoding.AppendDecode(nil, b64)
	return raw, err == nil
}
