package sse

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// AppendEvent appends ev as one whole block, the empty line included. See the package
// documentation for the form. A Type or ID that holds CR, LF or NUL, or is not UTF-8, is
// left out.
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

// AppendComment appends text as a block of comment lines, which clients skip. Empty text
// gives a bare ":", the shortest sign of life.
//
// The block ends with an empty line although the standard asks for none: clients that
// collect a block before they look at it (r3labs/sse) would pile up a quiet stream's
// comments until their buffer is full.
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

// AppendRetry appends how long a client shall wait before it reconnects, in whole
// milliseconds and at least 1. It appends nothing unless d is positive.
//
// It is a line without a block of its own, and takes effect at once; append an event or a
// comment after it. A block that holds nothing but retry reaches the users of some clients
// as an empty event.
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

// fitsField reports whether a value can stand in a field of its own. NUL is kept out with
// the line ends: clients ignore an id that holds one.
func fitsField(value []byte) bool {
	for _, c := range value {
		if c == '\r' || c == '\n' || c == 0 {
			return false
		}
	}
	return utf8.Valid(value)
}
