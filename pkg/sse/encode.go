package sse

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// AppendEvent appends ev as one complete block, including the empty line.
//
// It omits a Type or ID that contains CR, LF or NUL, or is not UTF-8. The package
// documentation describes the encoding.
func AppendEvent(dst []byte, ev Event) []byte {
	if typ := []byte(ev.Type); len(typ) > 0 && fitsField(typ) {
		dst = appendField(dst, "event", typ)
	}
	dst = appendData(dst, ev.Data)
	if len(ev.ID) > 0 && fitsField(ev.ID) {
		dst = appendField(dst, "id", ev.ID)
	}
	return append(dst, '\n')
}

// AppendComment appends text as a block of comment lines. Clients ignore them. Empty text
// results in a single ":", the shortest heartbeat.
//
// The block ends with an empty line although the standard does not require it. Clients that
// buffer a whole block before they parse it (r3labs/sse) would otherwise collect the comments of
// an idle stream until their buffer is full.
func AppendComment(dst []byte, text string) []byte {
	for {
		i := strings.IndexAny(text, "\r\n")
		if i < 0 {
			dst = appendField(dst, "", []byte(text))
			return append(dst, '\n')
		}
		dst = appendField(dst, "", []byte(text[:i]))
		text = skipEOL(text[i:])
	}
}

// AppendRetry appends the delay before a client reconnects, in milliseconds and at least 1.
// It appends nothing if d is not positive.
//
// It writes a single line without an empty line, and clients apply it immediately. Append an
// event or a comment after it: some clients report a block with only a retry field as an empty
// event.
func AppendRetry(dst []byte, d time.Duration) []byte {
	if d <= 0 {
		return dst
	}
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, max(1, d.Milliseconds()), 10)
	return append(dst, '\n')
}

func appendData(dst, data []byte) []byte {
	if utf8.Valid(data) {
		return appendText(dst, data)
	}
	dst = append(dst, "data: "+binaryPrefix...)
	dst = base64.StdEncoding.AppendEncode(dst, data)
	return append(dst, '\n')
}

func appendText(dst, text []byte) []byte {
	for {
		i := indexEOL(text)
		if i < 0 {
			return appendField(dst, "data", text)
		}
		dst = appendField(dst, "data", text[:i])
		text = skipEOL(text[i:])
	}
}

func appendField(dst []byte, name string, value []byte) []byte {
	dst = append(dst, name...)
	if len(value) == 0 {
		return append(dst, ":\n"...)
	}
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, '\n')
}

// fitsField reports whether a value can be sent in one field. It rejects NUL as well as line
// ends, because clients ignore an id that contains NUL.
func fitsField(value []byte) bool {
	for _, c := range value {
		if c == '\r' || c == '\n' || c == 0 {
			return false
		}
	}
	return utf8.Valid(value)
}
