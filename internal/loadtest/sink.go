package loadtest

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// PublishTarget is the address of publishes. In each template {user} becomes the user and {payload} the data.
type PublishTarget struct {
	// URL is http(s)://… for a POST per event, or nats://… for JetStream.
	URL string
	// Body is that of the POST; the payload alone when empty. ContentType is its type.
	Body, ContentType string
	Headers           []string
	// Arrays allows a POST with a JSON array of bodies, which is answered with an array, as by Tidemark's /publish.
	// An array has at most 1000 bodies and 1 MiB. Bursts use it.
	Arrays bool
	// Subject is that of NATS, such as notifications.user.{user}.
	Subject string
}

// message is an event to publish.
type message struct {
	key, payload string
	n            int    // its number
	id           string // the same in each attempt, by which a server finds duplicates
}

// sink publishes events.
type sink interface {
	// batches splits a burst into parts. Each fits into one publish.
	batches(burst []message) [][]message
	// publish sends a batch in its order and returns when all of it is acknowledged.
	publish(ctx context.Context, batch []message) error
	// checkRepeat returns an error if a batch that may be stored in part must not be sent again;
	// first is the time of the first attempt.
	checkRepeat(ctx context.Context, batch []message, first time.Time) error
	close()
}

func newSink(o Options) (sink, error) {
	switch t := o.Publish; {
	case strings.HasPrefix(t.URL, "http://"), strings.HasPrefix(t.URL, "https://"):
		return newHTTPSink(t, o.Burst, o.Insecure), nil
	case strings.HasPrefix(t.URL, "nats://"), strings.HasPrefix(t.URL, "tls://"):
		return newNATSSink(o)
	}
	return nil, fmt.Errorf("--publish %q: want http://… or nats://…", o.Publish.URL)
}

// refusedError is an answer that a retry would not change.
type refusedError struct{ error }

// splitBatches makes batches of at most that many messages and bytes, but of one message at least.
// Two neighbours for which apart returns true do not share a batch.
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

// storedOrder compares the stored order with the numbers. A burst that failed in its middle may be
// stored in part, and a retry would store the rest after later events. Then the run has failed, because its
// clients correctly receive that order.
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
		return refusedError{fmt.Errorf("%s has it at %d and event %d at %d: a burst was stored in part, and could not be completed in its order", stream, seq, last.n, last.seq)}
	}
	return nil
}
