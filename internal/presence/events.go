package presence

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/subject"
)

// EventType is the type of an event.
type EventType string

// The types of events, and the tokens of their subjects.
const (
	EventConnected    EventType = "connected"
	EventDisconnected EventType = "disconnected"
)

// Event is published for each connect and disconnect.
//
// The subject is PREFIX.TYPE.USER, with the user encoded as in the subjects of feeds, or PREFIX.TYPE for a
// connection without a user. An event is a core NATS message, delivered at most once. To keep events,
// capture the subjects in a stream. The events of one node are in order.
type Event struct {
	Type   EventType `json:"type"`
	ID     string    `json:"id"`
	User   string    `json:"user,omitempty"`
	Feed   string    `json:"feed"`
	Node   string    `json:"node"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"` // reason of the disconnect, such as gone, drain, max-age
}

// subject returns the subject of an event.
func (ev Event) subject(prefix string) (string, error) {
	prefix += "." + string(ev.Type)
	if ev.User == "" {
		return prefix, nil
	}
	token, err := subject.Encode(ev.User)
	return prefix + "." + token, err
}

// events publishes from a queue. A nil one publishes nothing.
type events struct {
	nc                 *nats.Conn
	node, prefix       string
	queue              chan Event
	published, dropped atomic.Uint64
}

func newEvents(nc *nats.Conn, opts Options) *events {
	return &events{nc: nc, node: opts.Node, prefix: opts.Events, queue: make(chan Event, opts.EventQueue)}
}

func (e *events) add(ev Event, who ConnInfo) {
	if e == nil {
		return
	}
	ev.ID, ev.User, ev.Feed, ev.Node = e.node+"-"+number(who.ID), who.User, who.Feed, e.node
	ev.At = ev.At.UTC().Truncate(time.Millisecond)
	select {
	case e.queue <- ev:
	default:
		e.dropped.Add(1)
	}
}

// run publishes events until ctx ends, and then the queued events.
func (e *events) run(ctx context.Context) error {
	for {
		select {
		case ev := <-e.queue:
			e.publish(ev)
		case <-ctx.Done():
			e.publishQueued()
			return nil
		}
	}
}

func (e *events) publishQueued() {
	for {
		select {
		case ev := <-e.queue:
			e.publish(ev)
		default:
			return
		}
	}
}

// publish drops an event that NATS does not accept. A late event would be worse than a missing one, as the
// bucket contains the current state.
func (e *events) publish(ev Event) {
	text, err := json.Marshal(ev)
	to, err2 := ev.subject(e.prefix)
	if err = errors.Join(err, err2); err == nil {
		err = e.nc.Publish(to, text)
	}
	if err != nil {
		e.dropped.Add(1)
		return
	}
	e.published.Add(1)
}
