package jetstore

import (
	"cmp"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/msgheader"
)

// decoder makes events of messages.
type decoder struct {
	log     *slog.Logger
	typeLog logLimiter // of invalid types
	trace   func(Traced) *feed.Trace
}

// event decodes what all deliveries have.
func (d *decoder) event(msg *nats.Msg, m metadata) feed.Event {
	return feed.Event{
		Seq:     m.seq,
		Subject: msg.Subject,
		Type:    d.eventType(msg.Subject, msg.Header),
		Data:    msg.Data,
		Time:    time.Unix(0, m.nanos).UTC(),
		End:     isEnd(msg.Header),

		CloudEvent: cloudEvent(msg.Header),
	}
}

// isEnd reports that a message completes its subject.
func isEnd(header nats.Header) bool {
	return len(header) > 0 && header.Get(msgheader.End) == msgheader.EndValue
}

// live adds the fields for the tail: when the event expires, and its trace.
func (d *decoder) live(ev *feed.Event, header nats.Header) {
	ev.Expires = expires(ev.Time, header)
	ev.Trace = d.traceOf(ev, header)
}

// stored decodes a message that was requested by itself, for the tail.
func (d *decoder) stored(msg storedMsg) feed.Event {
	header, err := nats.DecodeHeadersMsg(msg.Header)
	if err != nil {
		header = nil // no headers, or invalid ones
	}
	ev := feed.Event{
		Seq: msg.Seq, Subject: msg.Subject, Data: msg.Data, Time: msg.Time.UTC(),
		Type: d.eventType(msg.Subject, header), End: isEnd(header), CloudEvent: cloudEvent(header),
	}
	d.live(&ev, header)
	return ev
}

// eventType drops a type that no client may receive. Any NATS client can publish one, and
// the event is worth more than its name.
func (d *decoder) eventType(subject string, header nats.Header) string {
	if len(header) == 0 {
		return ""
	}
	typ := cmp.Or(header.Get(msgheader.Type), header.Get(msgheader.CloudEventType))
	err := feed.CheckType(typ)
	if typ == "" {
		err = misspeltType(header)
	}
	if err == nil {
		return typ
	}
	if n, ok := d.typeLog.allow(); ok {
		d.log.Warn("jetstream: invalid event type; delivering the event without it", "subject", subject, "error", err, "times", n)
	}
	return ""
}

// misspeltType reports a header that names a type in other letters: NATS compares the names of
// headers with their case.
func misspeltType(header nats.Header) error {
	for name, values := range header {
		for _, want := range [...]string{msgheader.Type, msgheader.CloudEventType} {
			if len(name) == len(want) && name != want && strings.EqualFold(name, want) && len(values) > 0 && values[0] != "" {
				return fmt.Errorf("the type is in the header %q; NATS does not ignore case: name it %s", name, want)
			}
		}
	}
	return nil
}

// expires is when the server deletes a message by its own lifetime: after whole seconds, as the
// server reads them. Zero is never.
func expires(stored time.Time, header nats.Header) time.Time {
	if len(header) == 0 {
		return time.Time{}
	}
	text := header.Get(msgheader.TTL)
	if text == "" {
		return time.Time{}
	}
	lifetime, err := time.ParseDuration(text)
	if err != nil {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return time.Time{} // "never", or a value that the server ignores
		}
		lifetime = time.Duration(seconds) * time.Second
	}
	if lifetime < time.Second {
		return time.Time{}
	}
	return stored.Add(lifetime.Truncate(time.Second))
}

// Traced is a stored event with a sampled trace.
type Traced struct {
	Seq    uint64
	Stored time.Time // by the clock of NATS
	feed.TraceContext
}

// traceOf returns the trace of an event with a traceparent that is sampled, else nil.
func (d *decoder) traceOf(ev *feed.Event, header nats.Header) *feed.Trace {
	if d.trace == nil || len(header) == 0 {
		return nil
	}
	parent := headerOf(header, msgheader.TraceParent)
	// 00-TRACE-PARENT-FLAGS: the lowest bit of the last digit is "sampled".
	if len(parent) < 55 || !strings.ContainsRune("13579bdf", rune(parent[54])) {
		return nil
	}
	return d.trace(Traced{ev.Seq, ev.Time, feed.TraceContext{Parent: parent, State: headerOf(header, msgheader.TraceState)}})
}

// headerOf also finds a header whose name begins with a capital.
func headerOf(header nats.Header, name string) string {
	if value := header.Get(name); value != "" {
		return value
	}
	return header.Get(strings.ToUpper(name[:1]) + name[1:])
}
