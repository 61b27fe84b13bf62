package loadtest

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// PublishTarget says where events are published. In each template {user} becomes the user
// and {payload} the data.
type PublishTarget struct {
	// URL is http(s)://… for a POST an event, or nats://… for JetStream.
	URL string
	// Body is the POST's; the payload alone when empty. ContentType goes with it.
	Body, ContentType string
	Headers           []string
	// Arrays says that a POST may hold a JSON array of bodies and is answered with an array, as
	// Tidemark's /publish does it: at most 1000 of them, and 1 MiB. Bursts go so.
	Arrays bool
	// Subject is for NATS, such as notifications.user.{user}.
	Subject string
}

// message is an event on its way.
type message struct {
	key, payload string
	n            int    // its number
	id           string // the same in each repeat, by which a server knows it again
}

// sink publishes events.
type sink interface {
	// batches cuts a burst into what one publish takes.
	batches(burst []message) [][]message
	// publish sends a batch in its order, and returns when all of it is acknowledged.
	publish(ctx context.Context, batch []message) error
	// mayRepeat tells why a batch must not be sent again that was first sent at a time, and
	// which may be stored in part.
	checkRepeat(ctx context.Context, batch []message, first time.Time) error
	close()
}

func newSink(o Options) (sink, error) {
	switch t := o.Publish; {
	case strings.HasPrefix(t.URL, "http://"), strings.HasPrefix(t.URL, "https://"):
		return newHTTPSink(t, o.Burst), nil
	case strings.HasPrefix(t.URL, "nats://"), strings.HasPrefix(t.URL, "tls://"):
		return newNATSSink(o)
	}
	return nil, fmt.Errorf("--publish %q: want http://… or nats://…", o.Publish.URL)
}

// refusedError is an answer that a repeat would not change.
type refusedError struct{ error }

// cut makes batches of at most so many messages and bytes, but of one message at least. Where
// apart says so, two messages do not share a batch.
func splitBatches(burst []message, most, mostBytes int, size func(message) int, apart func(a, b message) bool) (batches [][]message) {
	from, bytes := 0, 0
	for i, m := range burst {
		if i > from && (i-from == most || bytes+size(m) > mostBytes || apart(burst[i-1], m)) {
			batches = append(batches, burst[from:i])
			from, bytes = i, 0
		}
		bytes += size(m)
	}
	return append(batches, burst[from:])
}

// order compares what is acknowledged with the numbers. A burst that failed in its middle may
// be stored in part, and what is missing would come after it when it is repeated: then the run
// has failed, as its clients would be right to receive it so.
type storedOrder map[string]storedAt

type storedAt struct {
	stream string
	seq    uint64
	n      int
}

func (o storedOrder) check(m message, stream string, seq uint64) error {
	last := o[m.key]
	o[m.key] = storedAt{stream, seq, m.n}
	if last.stream == stream && seq <= last.seq {
		return refusedError{fmt.Errorf("%s has it at %d and event %d at %d: a burst was cut in its middle, and could not be completed in its order", stream, seq, last.n, last.seq)}
	}
	return nil
}
