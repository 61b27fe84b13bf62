package presence

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/lifecycle"
	"github.com/tidemark/tidemark/internal/subject"
)

// Presence is one node's part of it. Make it with New; its methods are safe for concurrent
// use.
type Presence struct {
	opts    Options
	nc      *nats.Conn
	js      jetstream.JetStream
	started time.Time
	shards  [Shards]shard
	count   atomic.Int64
	writer  writer
	events  *events // nil without

	mu     sync.Mutex
	status Status
}

// shard holds the connections of some of the users.
type shard struct {
	mu      sync.Mutex
	open    map[Source]struct{}
	changed bool // since it was written
}

// Status is how a node's presence fares, for those who look after it.
type Status struct {
	Node        string `json:"node"`
	Connections int    `json:"connections"` // of this node
	Writes      uint64 `json:"writes"`      // values since the start
	Bytes       uint64 `json:"bytes"`
	// Error is why the latest round failed; empty when it did not.
	Error string `json:"error,omitempty"`
	// Published and dropped events since the start.
	Events  uint64 `json:"events,omitempty"`
	Dropped uint64 `json:"events_dropped,omitempty"`
}

// New returns the presence of a node, which Run keeps up. Errors are those of the options.
func New(nc *nats.Conn, js jetstream.JetStream, opts Options) (*Presence, error) {
	p := &Presence{opts: opts.withDefaults(), nc: nc, js: js, started: time.Now()}
	if err := CheckNode(p.opts.Node); err != nil {
		return nil, err
	}
	if p.opts.Events != "" {
		if err := CheckPrefix(p.opts.Events); err != nil {
			return nil, err
		}
		p.events = newEvents(nc, p.opts)
	}
	return p, nil
}

// maxPrefix leaves room for the type of an event and the longest encoded user in a subject.
const maxPrefix = 240

// CheckPrefix says what is wrong with a prefix of subjects. It has at most 240 bytes.
func CheckPrefix(prefix string) error {
	if len(prefix) > maxPrefix {
		return fmt.Errorf("a prefix of %d bytes is too long; at most %d leave room for a user's id", len(prefix), maxPrefix)
	}
	if err := subject.CheckFilter(prefix); err != nil || strings.ContainsAny(prefix, "*>") {
		return fmt.Errorf("%q cannot begin subjects; write plain tokens joined by dots, such as tidemark.presence", prefix)
	}
	return nil
}

// Connected adds a connection. It does not block.
func (p *Presence) Connected(c Source) {
	who := c.Who()
	s := &p.shards[shardOf(who)]
	s.mu.Lock()
	if s.open == nil {
		s.open = make(map[Source]struct{})
	}
	s.open[c], s.changed = struct{}{}, true
	s.mu.Unlock()
	p.count.Add(1)
	p.events.add(Event{Type: EventConnected, At: who.Since}, who)
}

// Disconnected takes a connection away that was added. It does not block.
func (p *Presence) Disconnected(c Source, reason string) {
	who := c.Who()
	s := &p.shards[shardOf(who)]
	s.mu.Lock()
	delete(s.open, c)
	if len(s.open) == 0 {
		s.open = nil // a map keeps the room of its largest size
	}
	s.changed = true
	s.mu.Unlock()
	p.count.Add(-1)
	p.events.add(Event{Type: EventDisconnected, At: time.Now(), Reason: reason}, who)
}

// Status returns how it fares.
func (p *Presence) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.status
	now.Node, now.Connections = p.opts.Node, int(p.count.Load())
	if p.events != nil {
		now.Events, now.Dropped = p.events.published.Load(), p.events.dropped.Load()
	}
	return now
}

// Run writes and publishes until ctx ends, and then removes this node's entries, for which
// it blocks two seconds at most. Connections that open and close afterwards are not reported.
func (p *Presence) Run(ctx context.Context) {
	g := lifecycle.New(ctx)
	if p.events != nil {
		g.Go(p.events.run)
	}
	p.write(ctx)
	_ = g.Stop()
}
