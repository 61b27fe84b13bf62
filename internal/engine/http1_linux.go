package engine

import (
	"bufio"
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

// This file parses and encodes HTTP/1.1, except for the heads of responses (headercache_linux.go).

// inputKind classifies the input of a connection by the next step of the engine.
type inputKind int

const (
	incomplete  inputKind = iota // wait for more bytes
	complete                     // answer the request
	passThrough                  // pass the connection to the http.Server
)

// classify decides by the bytes so far. The engine answers HTTP/1.1 subscribe requests only.
func (c *conn) classify() inputKind {
	line, _, whole := bytes.Cut(c.input, []byte("\n"))
	switch {
	case whole && !c.listener.isSubscribe(line):
		return passThrough
	case headEnd(c.input) > 0:
		return complete
	case len(c.input) >= maxHead, !startsLike(c.input, "GET /"):
		return passThrough
	case bytes.Contains(c.input, []byte("\n\n")), bytes.Contains(c.input, []byte("\n\r\n")):
		return passThrough // other line ends
	}
	return incomplete
}

// headEnd returns the length of the first head of the input; 0 if it is not complete, or has other line ends
// than CRLF at its end.
func headEnd(input []byte) int {
	end := bytes.Index(input, []byte("\r\n\r\n"))
	if end < 0 {
		return 0
	}
	end += len("\r\n\r\n")
	if end > maxHead || bytes.Contains(input[:end], []byte("\n\n")) || bytes.Index(input, []byte("\n\r\n")) < end-3 {
		return 0
	}
	return end
}

// isSubscribe reports whether the request line is that of a subscribe request.
func (f *engineListener) isSubscribe(line []byte) bool {
	target, isGet := bytes.CutPrefix(line, []byte("GET "))
	target, isHTTP11 := bytes.CutSuffix(target, []byte(" HTTP/1.1\r"))
	path, _, _ := bytes.Cut(target, []byte("?"))
	return isGet && isHTTP11 && f.opts.IsSubscribe(string(path))
}

// startsLike reports whether b may become something that starts with prefix.
func startsLike(b []byte, prefix string) bool {
	n := min(len(b), len(prefix))
	return string(b[:n]) == prefix[:n]
}

// headReader contains the readers for parsing a head.
type headReader struct {
	head  bytes.Reader
	lines *bufio.Reader
}

var headReaders = sync.Pool{New: func() any { return &headReader{lines: bufio.NewReaderSize(nil, 1<<10)} }}

// parseRequest parses a head. It returns nil for requests that the http.Server must answer: invalid ones,
// and those with a body, an upgrade or Expect.
func parseRequest(head []byte) *http.Request {
	from := headReaders.Get().(*headReader)
	defer func() {
		from.head.Reset(nil)
		headReaders.Put(from)
	}()
	from.head.Reset(head)
	from.lines.Reset(&from.head)
	r, err := http.ReadRequest(from.lines)
	if err != nil || !plainHost(r.Host) || !validHeader(r.Header) || r.ContentLength != 0 || len(r.TransferEncoding) > 0 ||
		r.Header.Get("Expect") != "" || r.Header.Get("Upgrade") != "" {
		return nil
	}
	return r
}

// plainHost reports whether a host contains only valid characters. The http.Server rejects most others;
// http.ReadRequest does not check them.
func plainHost(host string) bool {
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~:[]%", r)
	})
}

// validHeader reports whether the http.Server would accept all names and values. http.ReadRequest accepts
// a name with a space before the colon. With such a name, a client could get a header past a proxy that
// should remove it.
func validHeader(header http.Header) bool {
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) || slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }) {
			return false
		}
	}
	return true
}

// lastChunk ends a chunked body.
const lastChunk = "0\r\n\r\n"

// chunkHead is the maximum size of a chunk's head: eight digits and CRLF.
const chunkHead = 10

// chunks encodes out[at:] as one chunk, and puts the response's head before it, and the last chunk behind it if
// the body is complete. out[:at] has space for both heads. Without a frame and an end the result is empty.
func chunks(out, head []byte, at int, isLast bool) []byte {
	start := at
	if len(out) > at {
		var size [chunkHead]byte
		line := append(strconv.AppendInt(size[:0], int64(len(out)-at), 16), "\r\n"...)
		out = append(out, "\r\n"...)
		start -= copy(out[start-len(line):], line)
	} else if !isLast {
		return nil
	}
	if isLast {
		out = append(out, lastChunk...)
	}
	start -= copy(out[start-len(head):], head)
	return out[start:]
}
