package loadtest

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/net/http2/hpack"
)

var (
	errResponseEnded = errors.New("the server ended the response")
	errServerClosed  = errors.New("the server closed the connection")
	errAfterResponse = errors.New("bytes after the end of the response")
	errDisconnected  = errors.New("disconnected by the load generator")
)

// client is the state of one client over all of its connections. Its shard's lock guards all of it.
type client struct {
	shard *shard
	set   *localClients
	index int    // among all clients of the run
	slot  int    // among those of this process
	key   string // of the events for it

	tally         tally
	lastID        []byte
	connected     bool
	wantConnected bool // a lost connection is opened again
	opened        bool // it has had a response with status 200
	reachedTarget *target
	conn          any // the engine's state; nil without a connection

	responses int // ended on this connection
	response  responseParser
	blocks    blockParser
}

func (c *client) name() string { return fmt.Sprintf("client %d (%s)", c.index, c.key) }

// shard is a part of the clients with one lock, which a loop takes once for many events.
type shard struct {
	mu     sync.Mutex
	total  *hdrhistogram.Histogram // of the run, in nanoseconds
	second *hdrhistogram.Histogram // since the last sample
	bytes  int64
	now    int64 // receipt of the bytes that are being read
	first  int64 // receipt of the run's first event; 0 before
	last   int64
}

func newShard() *shard { return &shard{total: newHistogram(), second: newHistogram()} }

// setNow records when the bytes arrived that are about to be read.
func (s *shard) setNow() { s.now = time.Now().UnixNano() }

// setConn gives the client a new connection.
func (c *client) setConn(conn any) {
	c.conn, c.responses, c.response, c.blocks = conn, 0, responseParser{}, blockParser{}
}

// read parses the bytes of HTTP/1.1 responses. requestDue reports that the client has another request to send.
func (c *client) read(b []byte) (requestDue bool, err error) {
	inHead := c.response.state == stateHead
	err = c.response.parse(b, c.readBody)
	if inHead && c.response.state != stateHead {
		c.responseStarted()
	}
	if err == errResponseEnded {
		err = c.responseEnded()
		requestDue = err == nil
	}
	return requestDue, err
}

// responseStarted is called when a response has the status 200.
func (c *client) responseStarted() {
	if c.responses == 0 {
		c.set.clientOpened(c)
	}
}

// readBody counts the events in a part of a response's body.
func (c *client) readBody(b []byte) { c.set.opts.Form.parse(&c.blocks, b, c.receive) }

// responseEnded is called at the end of a response. It returns nil if the client continues on the same connection with the
// request for the next page.
func (c *client) responseEnded() error {
	if c.set.opts.Form != FormJSON {
		return errResponseEnded
	}
	events, position, gaps, err := parsePage(c.blocks.partial)
	if err != nil {
		return err
	}
	for range gaps {
		c.tally.gap()
	}
	for _, f := range events {
		c.receive(f)
	}
	if position != "" {
		c.lastID = append(c.lastID[:0], position...)
	}
	c.responses++
	c.response, c.blocks = responseParser{}, blockParser{}
	return nil
}

// receive counts one event.
func (c *client) receive(f fields) {
	if len(f.id) > 0 {
		c.lastID = append(c.lastID[:0], f.id...)
	}
	if bytes.HasPrefix(f.event, []byte("tidemark.")) {
		if string(f.event) == "tidemark.gap" {
			c.tally.gap()
		}
		return
	}
	key, n, sent, ok := findMarker(f.data, c.set.part.Run)
	if !ok {
		return // a heartbeat, or an event of another publisher
	}
	if string(key) != c.key {
		c.tally.counts.foreign++
		return
	}
	sh := c.shard
	if sh.first == 0 {
		sh.first = sh.now
	}
	sh.last = sh.now
	latency := min(max(sh.now-sent, 1), maxLatency-1)
	_ = sh.total.RecordValue(latency)
	_ = sh.second.RecordValue(latency)
	c.tally.add(n)
	c.set.checkTarget(c)
}

// requestPath returns the path of the client's request, with its query.
func (c *client) requestPath() string {
	return c.set.opts.Form.addQuery(expandUser(c.set.pathTemplate, c.key), c.responses == 0)
}

// requestHeaders returns the names and values of the headers of the client's request, in pairs.
func (c *client) requestHeaders() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		if !yield("Accept", c.set.opts.Form.accept()) || !yield("Cache-Control", "no-cache") {
			return
		}
		for _, h := range c.set.opts.Headers {
			name, value, _ := strings.Cut(expandUser(h, c.key), ":")
			if !yield(name, strings.TrimSpace(value)) {
				return
			}
		}
		if len(c.lastID) > 0 {
			yield("Last-Event-ID", string(c.lastID))
		}
	}
}

// request returns the client's request in HTTP/1.1.
func (c *client) request() []byte {
	b := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n", c.requestPath(), c.set.server.Host)
	for name, value := range c.requestHeaders() {
		b = fmt.Appendf(b, "%s: %s\r\n", name, value)
	}
	return append(b, "\r\n"...)
}

// requestFields returns the client's request in HTTP/2.
func (c *client) requestFields() []hpack.HeaderField {
	fields := []hpack.HeaderField{
		{Name: ":method", Value: "GET"},
		{Name: ":scheme", Value: c.set.server.Scheme},
		{Name: ":authority", Value: c.set.server.Host},
		{Name: ":path", Value: c.requestPath()},
	}
	for name, value := range c.requestHeaders() {
		fields = append(fields, hpack.HeaderField{Name: strings.ToLower(name), Value: value})
	}
	return fields
}

// expandUser replaces {user} in a URL, a header or a body.
func expandUser(template, user string) string {
	return strings.ReplaceAll(template, "{user}", user)
}

// parseServerURL parses the URL of the events, which may have {user} in its path and query.
func parseServerURL(raw string) (server *url.URL, path string, err error) {
	u, err := url.Parse(expandUser(raw, "USER"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, "", fmt.Errorf("--url %q: want http://host:port/path", raw)
	}
	_, path, _ = strings.Cut(raw, "://")
	_, path, _ = strings.Cut(path, "/")
	return u, "/" + path, nil
}
