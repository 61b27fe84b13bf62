package engine

import (
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// heads keeps the head of a response that was made last: most streams of a server, and all of a
// storm, begin with the same within the same second.
type headerCache struct{ last atomic.Pointer[cachedHead] }

type cachedHead struct {
	header http.Header
	second int64 // of its Date
	bytes  []byte
}

// of returns the head of a response with these headers, whose body is chunked. It is shared, and
// must not be changed.
func (h *headerCache) get(header http.Header) []byte {
	now := time.Now()
	last := h.last.Load()
	if last == nil || last.second != now.Unix() || !maps.EqualFunc(last.header, header, slices.Equal) {
		last = &cachedHead{header.Clone(), now.Unix(), head(header, now)}
		h.last.Store(last)
	}
	return last.bytes
}

// contradictions of a chunked body are left out, if the handler has set them.
var contradictions = map[string]bool{"Content-Length": true, "Transfer-Encoding": true}

// head is the response's, whose body is chunked.
func head(h http.Header, now time.Time) []byte {
	var b appender = make([]byte, 0, 384)
	b = append(b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"...)
	if _, own := h["Date"]; !own {
		b = append(b, "Date: "...)
		b = append(now.UTC().AppendFormat(b, http.TimeFormat), "\r\n"...)
	}
	_ = h.WriteSubset(&b, contradictions) // which cannot fail
	return append(b, "\r\n"...)
}

type appender []byte

func (a *appender) Write(b []byte) (int, error) {
	*a = append(*a, b...)
	return len(b), nil
}

// WriteString spares package http a copy of each name and value.
func (a *appender) WriteString(s string) (int, error) {
	*a = append(*a, s...)
	return len(s), nil
}
