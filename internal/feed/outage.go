package feed

import (
	"context"
	"errors"
	"io"
	"sync"
)

// errOutage ends a replay that was under way when the tail lost its stream.
var errOutage = errors.New("the stream went out of reach")

// outages ends the replays under way when the tail loses the stream. A replay that waited for the stream to
// return would keep its bytes of a budget that other streams need. It gives them up, and waits for the
// state of the stream before it reads on. A replay that begins during an outage is not ended by it.
type outages struct {
	mu  sync.Mutex
	ctx context.Context // ends with the next outage; nil until a replay needs it
	end context.CancelFunc
}

// next returns a context that ends with the next outage.
func (o *outages) next() context.Context {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ctx == nil {
		o.ctx, o.end = context.WithCancel(context.Background())
	}
	return o.ctx
}

// begin ends the replays under way.
func (o *outages) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ctx != nil {
		o.end()
		o.ctx, o.end = nil, nil
	}
}

// Next implements Reader.
func (w *countedReader) Next(ctx context.Context) (Batch, error) {
	bounded, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(w.outage, func() { cancel(errOutage) })()
	if w.outage.Err() != nil {
		return Batch{}, errOutage
	}
	batch, err := w.Reader.Next(bounded)
	w.replays.events.Add(uint64(len(batch.Events)))
	w.ended = w.ended || errors.Is(err, io.EOF)
	return batch, err
}
