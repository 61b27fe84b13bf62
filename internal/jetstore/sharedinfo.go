package jetstore

import (
	"context"
	"sync"
)

// infoCalls merges requests for the state of the stream: each replay needs one for each batch, and many
// replays at once have small batches. A few requests are under way at a time, and each caller gets the
// answer to one that was sent after its call: what it has read by then is older than the answer.
type infoCalls struct {
	log   *Store
	group group // the requests under way

	mu      sync.Mutex
	running int       // at most maxInfoCalls
	next    *infoCall // for those that came after the ones under way were sent; nil for none
}

// maxInfoCalls is how many requests are under way before callers share the next one.
const maxInfoCalls = 4

// infoCall is one request, and its outcome once done is closed. Callers only read it.
type infoCall struct {
	done chan struct{}
	info *streamInfo
	err  error
}

// info returns the answer to a request that is sent after the call of info.
func (c *infoCalls) info(ctx context.Context) (*streamInfo, error) {
	call, err := c.join()
	if err != nil {
		return nil, err
	}
	select {
	case <-call.done:
		return call.info, call.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (c *infoCalls) join() (*infoCall, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil {
		c.next = &infoCall{done: make(chan struct{})}
	}
	call := c.next
	if c.running < maxInfoCalls {
		if !c.group.start(c.run) {
			return nil, ErrClosed
		}
		c.running++
	}
	return call, nil
}

// run sends requests until no caller waits for another.
func (c *infoCalls) run() {
	for call := c.take(); call != nil; call = c.take() {
		call.info, call.err = c.log.info(c.log.ctx)
		close(call.done)
	}
}

func (c *infoCalls) take() *infoCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	call := c.next
	c.next = nil
	if call == nil {
		c.running--
	}
	return call
}
