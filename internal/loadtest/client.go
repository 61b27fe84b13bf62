package loadtest

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

var (
	errResponseEnded = errors.New("the server ended the response")
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

	response responseParser
	blocks   blockParser
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
	c.conn, c.response, c.blocks = conn, responseParser{}, blockParser{}
}

// read counts the bytes of a response, headers included.
func (c *client) read(b []byte) error {
	c.shard.bytes += int64(len(b))
	inHead := c.response.state == stateHead
	err := c.response.parse(b, func(body []byte) { c.blocks.parse(body, c.receive) })
	if inHead && c.response.state != stateHead {
		c.set.clientOpened(c)
	}
	return err
}

// receive counts one block of the event stream.
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

// request returns the client's request in HTTP/1.1.
func (c *client) request() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n", expandUser(c.set.pathTemplate, c.key), c.set.server.Host)
	for _, h := range c.set.opts.Headers {
		b.WriteString(expandUser(h, c.key) + "\r\n")
	}
	if len(c.lastID) > 0 {
		b.WriteString("Last-Event-ID: " + string(c.lastID) + "\r\n")
	}
	return []byte(b.String() + "\r\n")
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
