package jetstore

import (
	"context"
	"errors"
	"sync"

	"github.com/nats-io/nats.go"
)

var errLink = errors.New("the connection to NATS changed")

// carrier is a connection that pull requests and their deliveries go over.
type carrier struct {
	nc   *nats.Conn
	link *link
}

// link tells all who wait that the connection changed: lost, reached again, or closed. A
// pull request that the old connection carried is never answered on the new one.
type link struct {
	nc     *nats.Conn
	status chan nats.Status
	wg     sync.WaitGroup

	mu      sync.Mutex
	ctx     context.Context // ends at the next change
	end     context.CancelCauseFunc
	closing bool
}

func watch(nc *nats.Conn) *link {
	k := &link{nc: nc}
	k.ctx, k.end = context.WithCancelCause(context.Background())
	k.status = nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED)
	k.wg.Go(func() {
		for range k.status {
			k.tell()
		}
	})
	return k
}

// current returns a context that ends, with errLink, at the next change after this call.
func (k *link) current() context.Context {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ctx
}

// changed returns a channel that is closed at the next change after this call.
func (k *link) changed() <-chan struct{} { return k.current().Done() }

func (k *link) tell() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.end(errLink)
	k.ctx, k.end = context.WithCancelCause(context.Background())
}

// err says why nothing more can come over this link.
func (k *link) err() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closing {
		return ErrClosed
	}
	if k.nc.IsClosed() {
		return nats.ErrConnectionClosed
	}
	return nil
}

func (k *link) close() {
	k.mu.Lock()
	again := k.closing
	k.closing = true
	k.mu.Unlock()
	if !again {
		k.nc.RemoveStatusListener(k.status)
		k.wg.Wait()
		k.tell()
	}
	k.wg.Wait()
}
