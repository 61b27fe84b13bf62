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
	errResponseEnded = errors.New("the server ended the stream")
	errDisconnected      = errors.New("cut by the stand")
)

// client is one connection's state, which outlives the sockets that it uses in turn. All of
// it belongs to the shard's lock.
type client struct {
	shard *shard
	set *localClients
	index int    // among all clients of the run
	slot  int    // among those of its swarm
	key   string // of the events that are due to it

	tally     tally
	lastID    []byte
	connected bool
	wantConnected    bool // a lost connection is made again
	opened     int  // streams that were answered with 200
	reachedTarget   *target
	conn      conn // what the engine keeps; nil without a socket

	response   responseParser
	blocks blockParser
}

func (c *client) name() string { return fmt.Sprintf("client %d (%s)", c.index, c.key) }

// shard is a part of the clients, with one lock for all of them: a loop takes it once for
// many events.
type shard struct {
	mu     sync.Mutex
	total  *hdrhistogram.Histogram // of the run, in nanoseconds
	second *hdrhistogram.Histogram // since the last sample
	bytes  int64
	now    int64 // when the bytes that are being read came
	first  int64 // when the run's first event came; 0 before
	last   int64
}

func newShard() *shard { return &shard{total: newHistogram(), second: newHistogram()} }

// reset makes the client ready for another socket.
func (c *client) reset() { c.response, c.blocks = responseParser{}, blockParser{} }

// consume takes bytes of a raw connection.
func (c *client) consume(b []byte) error {
	c.shard.bytes += int64(len(b))
	streaming := c.response.phase != phaseHead
	err := c.response.parse(b, func(body []byte) { c.blocks.parse(body, c.event) })
	if !streaming && c.response.phase != phaseHead {
		c.set.opened(c)
	}
	return err
}

// event takes one block. Position and number are taken together.
func (c *client) event(f fields) {
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
		return // a heartbeat, or what others publish
	}
	if string(key) != c.key {
		c.tally.counts.foreign++
		return
	}
	c.shard.received()
	late := min(max(c.shard.now-sent, 1), maxLatency-1)
	_ = c.shard.total.RecordValue(late)
	_ = c.shard.second.RecordValue(late)
	c.tally.add(n)
	c.set.checkTarget(c)
}

// request is what the client asks for, as HTTP/1.1 has it.
func (c *client) request() []byte {
	t := c.set.server
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n", c.path(), t.Host)
	for _, h := range c.set.opts.Headers {
		b.WriteString(expandUser(h, c.key) + "\r\n")
	}
	if len(c.lastID) > 0 {
		b.WriteString("Last-Event-ID: " + string(c.lastID) + "\r\n")
	}
	return []byte(b.String() + "\r\n")
}

func (c *client) path() string { return expandUser(c.set.pathTemplate, c.key) }

// expandUser puts a user in place of {user}, in a URL, a header or a body.
func expandUser(template, user string) string {
	return strings.ReplaceAll(template, "{user}", user)
}

// parseTarget reads the URL of the events. {user} may stand in its path and query.
func parseTarget(raw string) (target *url.URL, path string, err error) {
	u, err := url.Parse(strings.ReplaceAll(raw, "{user}", "USER"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, "", fmt.Errorf("--url %q: want http://host:port/path", raw)
	}
	path = raw[strings.Index(raw, "://")+3:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return u, path[i:], nil
	}
	return u, "/", nil
}

// received notes when an event of the run came.
func (s *shard) received() {
	if s.first == 0 {
		s.first = s.now
	}
	s.last = s.now
}

// mark notes when the bytes came that are about to be read.
func (s *shard) mark() { s.now = time.Now().UnixNano() }
