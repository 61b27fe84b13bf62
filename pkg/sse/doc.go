// Package sse encodes and decodes the wire format of Server-Sent Events.
//
// Use it to write events to a response, or to read them from one. It does not depend on HTTP
// and uses only the standard library. The rules are those of the HTML standard, section 9.2
// "Server-sent events" (WHATWG). The encoder uses only the forms that existing clients parse alike.
//
//	w.Header().Set("Content-Type", sse.ContentType)
//	w.Write(sse.AppendEvent(nil, sse.Event{Type: "greeting", Data: []byte("hi")}))
//
// # Encoding
//
// The Append functions append to a slice and return it. They retain no arguments, start no
// goroutines, and allocate only to grow the slice. An event is one block of lines, followed
// by an empty line:
//
//	event: greeting
//	data: first line
//	data: second line
//	id: 1042-k7f3q9
//
// Guarantees for every block:
//
//   - One space follows each colon. The client removes that space, so leading spaces of the data
//     are preserved. An empty value has no space.
//   - Data is split at CR, LF and CRLF. The client joins the lines with LF, so CR and CRLF
//     arrive as LF. All other bytes are preserved. A block has at least one data line, because
//     clients ignore a block without data.
//   - The id comes after the data. A client that receives a truncated block therefore does not
//     store the id of data that it did not receive.
//   - Data that is not UTF-8 is sent as a data URL: "data:application/octet-stream;base64," and
//     the bytes in base64. A client would otherwise replace the invalid bytes. To get the bytes
//     back, use await fetch(event.data) in JavaScript and [Binary] in Go.
//   - Values cannot inject fields. A type or id is omitted if it contains CR, LF or NUL, or is
//     not UTF-8; the other fields of the event are sent.
//
// # Decoding
//
// A [Decoder] accepts lines of any length, up to [Decoder.MaxEventSize] for one event. It starts no
// goroutines and blocks only in the Read method of its reader. It returns an event as soon as
// the last byte of the event has been read: after a CR it does not wait for a possible LF.
// It discards an event that the end of the stream truncated, together with its id.
package sse

const (
	// MediaType is the media type of an event stream, for the Accept header of a request.
	MediaType = "text/event-stream"
	// ContentType is the Content-Type of a response. UTF-8 is the only encoding of the format,
	// but some clients (Python's sseclient) guess another one if the header does not name it.
	ContentType = MediaType + "; charset=utf-8"
)
