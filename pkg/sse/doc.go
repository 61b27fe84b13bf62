// Package sse is the wire format of Server-Sent Events: it encodes events and decodes
// streams, with the standard library alone, and knows nothing of HTTP. Its rules are those
// of the HTML standard, section 9.2 "Server-sent events" (WHATWG), its output is the part
// of them on which real clients agree.
//
// # Encoding
//
// The Append functions append to a slice and return it. They keep nothing, start nothing,
// and allocate only when the slice has no room. An event is one block:
//
//	event: greeting
//	data: first line
//	data: second line
//	id: 1042-k7f3q9
//
// and an empty line. What holds for every block:
//
//   - One space follows each colon; the client takes it away again, so data that begins with
//     a space arrives with it. An empty value has no space.
//   - Data is split at CR, LF and CRLF. The client joins the lines with LF, so CR and CRLF
//     arrive as LF. Nothing else changes, and there is always at least one data line: a
//     client dispatches a block without one as nothing at all.
//   - The id comes after the data: a client that reads a block that was cut off does not
//     take the id of data that it never had.
//   - Data that is not UTF-8 goes out as a data URL, "data:application/octet-stream;base64,"
//     and the bytes in base64, because a client would replace what it cannot decode. In
//     JavaScript await fetch(event.data) gives the bytes back, in Go [Binary].
//   - Nothing injects. A type or id with CR, LF or NUL, or that is not UTF-8, is left out;
//     the event goes out without that field.
//
// # Decoding
//
// A [Decoder] reads a stream of any line length, up to a size of one event that the caller
// sets. It starts no goroutine, blocks only in the Read of its reader, and hands over an
// event as soon as the byte that ends it was read: after a CR it does not wait to see
// whether an LF follows. An event that the stream's end cut off is never handed over, and
// its id is not taken.
package sse

const (
	// MediaType is what a client accepts.
	MediaType = "text/event-stream"
	// ContentType is what a server answers. The format is UTF-8 without being told, but
	// some clients (Python's sseclient) guess another encoding when it is not named.
	ContentType = MediaType + "; charset=utf-8"
)
