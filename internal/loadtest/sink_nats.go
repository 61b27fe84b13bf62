package loadtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The unacknowledged messages of a stream: far below the 100,000 messages and 128 MiB that a server
// buffers (nats-server 2.15, max_buffered_msgs), beyond which it rejects some.
const (
	maxUnacked      = 4096
	maxUnackedBytes = 16 << 20
)

type natsSink struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	subject string
}

func newNATSSink(o Options) (sink, error) {
	t := o.Publish
	if t.Subject == "" {
		return nil, errors.New("publishing to NATS needs --publish-subject, such as notifications.user.{user}")
	}
	options := []nats.Option{nats.Name("tidemark bench"), nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond)}
	if o.Burst > 1 {
		// Messages that are buffered until the reconnect would overtake those that were lost.
		options = append(options, nats.ReconnectBufSize(-1))
	}
	nc, err := nats.Connect(t.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("--publish %s: %w", t.URL, err)
	}
	if most := nc.MaxPayload(); int64(o.Payload) > most {
		nc.Close()
		return nil, fmt.Errorf("--payload %d: %s accepts %d bytes with the headers (max_payload)", o.Payload, t.URL, most)
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(maxUnacked), jetstream.WithPublishAsyncTimeout(attemptTimeout))
	return &natsSink{nc, js, t.Subject}, err
}

func (n *natsSink) batches(burst []message) [][]message {
	return splitBatches(burst, maxUnacked, maxUnackedBytes, func(m message) int { return len(m.payload) }, func(message, message) bool { return false })
}

func (n *natsSink) publish(ctx context.Context, batch []message) error {
	if len(batch) > 1 {
		return n.publishAll(ctx, batch)
	}
	subject := expandUser(n.subject, batch[0].key)
	_, err := n.js.Publish(ctx, subject, []byte(batch[0].payload), jetstream.WithMsgID(batch[0].id))
	return n.explain(subject, err)
}

// publishAll waits for the acknowledgements of a batch after all of it is sent.
func (n *natsSink) publishAll(ctx context.Context, batch []message) error {
	futures, err := n.sendAll(batch)
	stored := storedOrder{}
	for i, future := range futures {
		m := batch[i]
		select {
		case ack := <-future.Ok():
			// A retry cannot change the order of stored messages.
			if err := stored.check(m, ack.Stream, ack.Sequence); err != nil {
				return eventError(m, err)
			}
		case failed := <-future.Err():
			if err == nil {
				err = eventError(m, n.explain(expandUser(n.subject, m.key), failed))
			}
		case <-ctx.Done():
			return eventError(m, context.Cause(ctx))
		}
	}
	return err
}

// sendAll stops at the first event that cannot be sent, because the next must not overtake it. It
// also stops after a reconnect, in which events that were sent before may be lost.
func (n *natsSink) sendAll(batch []message) (futures []jetstream.PubAckFuture, err error) {
	connection := n.nc.Stats().Reconnects
	for _, m := range batch {
		if n.nc.Stats().Reconnects != connection {
			return futures, eventError(m, nats.ErrDisconnected)
		}
		subject := expandUser(n.subject, m.key)
		future, err := n.js.PublishAsync(subject, []byte(m.payload), jetstream.WithMsgID(m.id),
			jetstream.WithRetryAttempts(0), jetstream.WithStallWait(attemptTimeout))
		if err != nil {
			return futures, eventError(m, n.explain(subject, err))
		}
		futures = append(futures, future)
	}
	return futures, nil
}

func (n *natsSink) explain(subject string, err error) error {
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return refusedError{fmt.Errorf("the server accepts %d bytes with the headers (max_payload): %w", n.nc.MaxPayload(), err)}
	case n.nc.IsConnected() && (errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders)):
		return fmt.Errorf("no stream has the subject %s: %w", subject, err)
	}
	return err
}

// checkRepeat compares the stream's duplicate window with the time of a burst. A single event is
// nearly always within it, and a request would delay its retry.
func (n *natsSink) checkRepeat(ctx context.Context, batch []message, first time.Time) error {
	if len(batch) == 1 {
		return nil
	}
	name, err := n.js.StreamNameBySubject(ctx, expandUser(n.subject, batch[0].key))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil // nothing is stored
	}
	var stream jetstream.Stream
	if err == nil {
		stream, err = n.js.Stream(ctx, name)
	}
	if err != nil {
		return fmt.Errorf("reading the duplicate window, to repeat a burst: %w", err)
	}
	if window := stream.CachedInfo().Config.Duplicates; time.Since(first)+attemptTimeout > window {
		return refusedError{fmt.Errorf("a burst failed and must not be repeated: the duplicate window of %s is %v, so it might be stored twice", name, window)}
	}
	return nil
}

// close also ends the asynchronous publisher. Its own CleanupPublisher leaks a goroutine if it is
// called right after the first publish (nats.go 1.55).
func (n *natsSink) close() { n.nc.Close() }
