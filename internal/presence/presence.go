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

// Presence writes the connections of one node, and lists those of all nodes. Create it with New. Its
// methods are safe for concurrent use.
type Presence struct {
	opts    Options
	nc      *nats.Conn
	js      jetstream.JetStream
	started time.Time
	shards  [Shards]shard
	count   atomic.Int64
	writer  writer
	events  *events // nil without events

	mu     sync.Mutex
	status Status
}

// shard contains the connections of a part of the users.
type shard struct {
	mu      sync.Mutex
	open    map[Source]struct{}
	changed bool // since the last write
}

// Status is the state of a node's presence, for operators.
type Status struct {
	Node        string `json:"node"`
	Connections int    `json:"connections"` // of this node
	Writes      uint64 `json:"writes"`      // values since the start
	Bytes       uint64 `json:"bytes"`
	// Error is the error of the latest round, or empty.
	Error string `json:"error,omitempty"`
	// Published and dropped events since the start.
	Events  uint64 `json:"events,omitempty"`
	Dropped uint64 `json:"events_dropped,omitempty"`
}

// New returns the presence of a node. Call Run to start writing. It returns an error for invalid options.
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

// maxPrefix is the maximum length of a prefix. The rest of a subject is for the type of an event and the
// longest encoded user.
const maxPrefix = 240

// CheckPrefix returns an error for an invalid prefix of subjects. It has at most 240 bytes.
func CheckPrefix(prefix string) error {
	if len(prefix) > maxPrefix {
		return fmt.Errorf("a prefix of %d bytes is too long; use at most %d bytes, the rest is for the user", len(prefix), maxPrefix)
	}
	if err := subject.CheckFilter(prefix); err != nil || strings.ContainsAny(prefix, "*>") {
		return fmt.Errorf("%q is not a valid prefix of subjects; write plain tokens joined by dots, such as tidemark.presence", prefix)
	}
	return nil
}

// Connected adds a connection. It does not block.
func (p *Presence) Connected(c Source) {
	who := c.Info()
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

// Disconnected removes a connection. It does not block.
func (p *Presence) Disconnected(c Source, reason string) {
	who := c.Info()
	s := &p.shards[shardOf(who)]
	s.mu.Lock()
	delete(s.open, c)
	if len(s.open) == 0 {
		s.open = nil // a map never shrinks
	}
	s.changed = true
	s.mu.Unlock()
	p.count.Add(-1)
	p.events.add(Event{Type: EventDisconnected, At: time.Now(), Reason: reason}, who)
}

// Status returns the current state.
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

// Run writes entries and publishes events until ctx ends. Then it removes the entries of this node, which
// takes at most two seconds. Later connects and disconnects are not written.
func (p *Presence) Run(ctx context.Context) {
	g := lifecycle.New(ctx)
	if p.events != nil {
		g.Go(p.events.run)
	}
	p.write(ctx)
	_ = g.Stop()
}
