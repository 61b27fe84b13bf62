package natsconn

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"
)

// ErrChanged ends waits for an answer over a changed connection.
var ErrChanged = errors.New("the connection to NATS changed")

// Watcher notifies waiting requests of changes of a connection: lost, connected again, or closed. A
// request that the old connection carried is never answered on the new one.
type Watcher struct {
	nc     *nats.Conn
	status chan nats.Status
	wg     sync.WaitGroup

	mu     sync.Mutex
	ctx    context.Context // ends at the next change
	end    context.CancelCauseFunc
	closed error // why, once it is
}

// Watch begins to watch nc. The caller closes the Watcher, before nc.
func Watch(nc *nats.Conn) *Watcher {
	w := &Watcher{nc: nc}
	w.ctx, w.end = context.WithCancelCause(context.Background())
	w.status = nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED)
	w.wg.Go(func() {
		for range w.status {
			w.notify()
		}
	})
	return w
}

// Current returns a context until the next change. Its cause is then ErrChanged.
func (w *Watcher) Current() context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ctx
}

// Changed returns the channel of the next change: it is closed then.
func (w *Watcher) Changed() <-chan struct{} { return w.Current().Done() }

func (w *Watcher) notify() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end(ErrChanged)
	w.ctx, w.end = context.WithCancelCause(context.Background())
}

// Err returns why nothing more can arrive over the connection, nil while it is in use. It is the
// cause of Close, or nats.ErrConnectionClosed.
func (w *Watcher) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed != nil {
		return w.closed
	}
	if w.nc.IsClosed() {
		return nats.ErrConnectionClosed
	}
	return nil
}

// Close stops watching and notifies waiting requests. Err returns cause from then on.
func (w *Watcher) Close(cause error) {
	w.mu.Lock()
	twice := w.closed != nil
	if !twice {
		w.closed = cause
	}
	w.mu.Unlock()
	if !twice {
		w.nc.RemoveStatusListener(w.status)
		w.wg.Wait()
		w.notify()
	}
	w.wg.Wait()
}
