package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/backoff"
	"github.com/tidemark/tidemark/internal/feed"
)

// errInProcess is JetStream's answer to a message whose ID another publish is storing. Whether that
// publish succeeds is not decided yet.
var errInProcess = errors.New("a message with the same id is being stored")

// Pauses between repeats. Storing takes about a round trip between the servers of a stream.
const (
	firstRepeat = 5 * time.Millisecond
	lastRepeat  = 320 * time.Millisecond
)

// repeat publishes the messages at the given indices, all of which are in process, until none
// is, ctx ends, or AckTimeout has passed. It replaces their results. Only an acknowledgement
// settles one: when JetStream rejects a repeat, the other publish may have stored the message.
func (p *Publisher) repeat(ctx context.Context, msgs []routed, indices []int, results []feed.Result, before map[string]uint64) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.AckTimeout)
	defer cancel()
	futures := make([]jetstream.PubAckFuture, len(msgs))
	for wait := firstRepeat; len(indices) > 0; wait = min(2*wait, lastRepeat) {
		if backoff.Pause(ctx, wait, nil) != nil {
			return
		}
		for _, i := range indices {
			futures[i], results[i].Err = p.send(ctx, msgs[i])
		}
		var unsettled []int
		for _, i := range indices {
			if futures[i] != nil {
				results[i] = p.await(ctx, msgs[i], futures[i], before)
			}
			err := results[i].Err
			if errors.Is(err, errInProcess) {
				unsettled = append(unsettled, i)
			} else if err != nil {
				// Not wrapped: an error of the repeat alone may be feed.ErrNotStored.
				results[i].Err = fmt.Errorf("%w: %w, and a repeat failed: %s", feed.ErrUnavailable, errInProcess, err.Error())
			}
		}
		indices = unsettled
	}
}
