package engine

import (
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// headerCache keeps the latest response head. During a reconnect of many clients, nearly all responses
// of a second have the same head.
type headerCache struct{ last atomic.Pointer[cachedHead] }

type cachedHead struct {
	header http.Header
	second int64 // of its Date
	bytes  []byte
}

// get returns the head of a chunked response with these headers. The result is shared and must not be
// modified.
func (h *headerCache) get(header http.Header) []byte {
	now := time.Now()
	last := h.last.Load()
	if last == nil || last.second != now.Unix() || !maps.EqualFunc(last.header, header, slices.Equal) {
		last = &cachedHead{header.Clone(), now.Unix(), head(header, now)}
		h.last.Store(last)
	}
	return last.bytes
}

// contradictions are headers that contradict a chunked body. They are omitted.
var contradictions = map[string]bool{"Content-Length": true, "Transfer-Encoding": true}

// head encodes the head of a chunked response.
func head(h http.Header, now time.Time) []byte {
	var b appender = make([]byte, 0, 384)
	b = append(b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"...)
	if _, own := h["Date"]; !own {
		b = append(b, "Date: "...)
		b = append(now.UTC().AppendFormat(b, http.TimeFormat), "\r\n"...)
	}
	_ = h.WriteSubset(&b, contradictions) // cannot fail
	return append(b, "\r\n"...)
}

type appender []byte

func (a *appender) Write(b []byte) (int, error) {
	*a = append(*a, b...)
	return len(b), nil
}

// WriteString implements io.StringWriter, which saves package http a copy of each name and value.
func (a *appender) WriteString(s string) (int, error) {
	*a = append(*a, s...)
	return len(s), nil
}
