package tidemarktest

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

// publisher stores messages in memory. It knows every ID of the present stream.
type publisher struct {
	log    *feedtest.MemStore
	stream string

	mu    sync.Mutex
	epoch string
	ids   map[string]uint64
}

// Publish implements feed.Publisher. It does not block.
func (p *publisher) Publish(ctx context.Context, messages ...feed.Message) []feed.Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	results := make([]feed.Result, len(messages))
	for i, m := range messages {
		results[i] = p.storeLocked(ctx, m)
	}
	return results
}

func (p *publisher) storeLocked(ctx context.Context, m feed.Message) (r feed.Result) {
	if err := ctx.Err(); err != nil {
		return feed.Result{Err: fmt.Errorf("%w: %w", feed.ErrNotStored, err)}
	}
	if err := p.log.Down(); err != nil {
		return feed.Result{Err: fmt.Errorf("%w (%w): %w", feed.ErrUnavailable, feed.ErrNotStored, err)}
	}
	if epoch := p.log.Epoch(); epoch != p.epoch {
		p.epoch, p.ids = epoch, make(map[string]uint64)
	}
	r.Ack.Stream = p.stream
	seq, known := p.ids[m.ID]
	if r.Ack.Duplicate = known && m.ID != ""; !r.Ack.Duplicate {
		seq = p.log.PublishFor(m.TTL, m.Subject, m.Type, bytes.Clone(m.Data))
		p.ids[m.ID] = seq
	}
	r.Ack.Position = feed.Position{Seq: seq, Epoch: p.epoch}
	return r
}
