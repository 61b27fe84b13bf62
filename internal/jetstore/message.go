package jetstore

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/feed"
)

// ackPrefix begins the reply subject of every delivery, and of nothing else.
const ackPrefix = "$JS.ACK."

// Headers that name the type of an event; the second is that of CloudEvents.
const (
	typeHeader           = "Event-Type"
	cloudEventTypeHeader = "ce-type"
)

// metadata is what the reply subject of a delivery tells. Its strings are parts of it.
type metadata struct {
	consumer string
	seq      uint64 // in the stream
	delivery uint64 // the consumer's own count, without holes, from 1
	pending  uint64 // matching messages after this one
	nanos    int64  // when it was stored
}

// parseReply reads either form:
//
//	$JS.ACK.stream.consumer.redeliveries.seq.delivery.nanos.pending
//	$JS.ACK.domain.account.stream.consumer.redeliveries.seq.delivery.nanos.pending[.token]
func parseReply(reply string) (m metadata, ok bool) {
	var tokens [9]string // what comes after is of no interest
	n := 0
	for tok := range strings.SplitSeq(reply[len(ackPrefix):], ".") {
		if n == len(tokens) {
			break
		}
		tokens[n] = tok
		n++
	}
	skip := 0
	if n > 7 {
		skip = 2
	}
	if n < 7+skip {
		return m, false
	}
	m.consumer = tokens[skip+1]
	seq, err1 := strconv.ParseUint(tokens[skip+3], 10, 64)
	delivery, err2 := strconv.ParseUint(tokens[skip+4], 10, 64)
	nanos, err3 := strconv.ParseInt(tokens[skip+5], 10, 64)
	pending, err4 := strconv.ParseUint(tokens[skip+6], 10, 64)
	m.seq, m.delivery, m.nanos, m.pending = seq, delivery, nanos, pending
	return m, err1 == nil && err2 == nil && err3 == nil && err4 == nil
}

// lifetimeHeader is how long the server keeps a message, where the stream allows it.
const lifetimeHeader = "Nats-TTL"

// expires is when the server deletes a message by its own lifetime: after whole seconds, as the
// server reads them. Zero is never.
func expires(stored time.Time, header nats.Header) time.Time {
	if len(header) == 0 {
		return time.Time{}
	}
	text := header.Get(lifetimeHeader)
	if text == "" {
		return time.Time{}
	}
	lifetime, err := time.ParseDuration(text)
	if err != nil {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return time.Time{} // "never", or what the server did not take for a lifetime either
		}
		lifetime = time.Duration(seconds) * time.Second
	}
	if lifetime < time.Second {
		return time.Time{}
	}
	return stored.Add(lifetime.Truncate(time.Second))
}

func (l *Store) event(msg *nats.Msg, m metadata) feed.Event {
	return feed.Event{
		Seq:     m.seq,
		Subject: msg.Subject,
		Type:    l.eventType(msg),
		Data:    msg.Data,
		Time:    time.Unix(0, m.nanos).UTC(),
	}
}

// eventType drops a type that no client may be given. Any NATS client can publish one, and
// the event is worth more than its name.
func (l *Store) eventType(msg *nats.Msg) string {
	if len(msg.Header) == 0 {
		return ""
	}
	typ := cmp.Or(msg.Header.Get(typeHeader), msg.Header.Get(cloudEventTypeHeader))
	err := feed.CheckType(typ)
	if typ == "" {
		err = misspeltType(msg.Header)
	}
	if err == nil {
		return typ
	}
	if n, ok := l.badTypes.allow(); ok {
		l.opts.Logger.Warn("an event is delivered without its type", "subject", msg.Subject, "error", err, "times", n)
	}
	return ""
}

// misspeltType reports a header that names a type in other letters: NATS compares the names of
// headers with their case.
func misspeltType(header nats.Header) error {
	for name, values := range header {
		for _, want := range [...]string{typeHeader, cloudEventTypeHeader} {
			if len(name) == len(want) && name != want && strings.EqualFold(name, want) && len(values) > 0 && values[0] != "" {
				return fmt.Errorf("the type is in the header %q; NATS does not ignore case: name it %s", name, want)
			}
		}
	}
	return nil
}
