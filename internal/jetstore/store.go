package jetstore

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/feed"
)

// ErrClosed ends what is under way when a Log is closed, and all that is asked afterwards.
var ErrClosed = errors.New("the log is closed")

// closeTimeout bounds how long Close waits for consumers to be deleted.
const closeTimeout = 5 * time.Second

// Log is one stream of JetStream as a feed.Store.
type Store struct {
	api
	replays carrier // of what replays read
	opts    Options

	creates *creates
	deletes *deletes
	infos   *infoCalls

	retries  limiter // of log lines
	badTypes limiter
	lates    limiter
	refusals limiter

	counts counts
	limits consumerLimits

	ctx  context.Context // of requests that outlive their caller
	stop context.CancelCauseFunc
}

var _ feed.Store = (*Store)(nil)

// Open prepares to read a stream. It does not block on the network: neither the stream nor
// NATS need be there yet. The caller closes the Log, and afterwards nc and Options.Replays.
func Open(nc *nats.Conn, opts Options) (*Store, error) {
	if nc == nil {
		return nil, errors.New("jetstore: no connection")
	}
	opts, err := opts.resolve()
	if err != nil {
		return nil, err
	}
	l := &Store{
		api:  api{nc: nc, prefix: opts.APIPrefix, timeout: opts.RequestTimeout, link: watch(nc)},
		opts: opts,
	}
	l.badTypes.every = time.Minute
	l.replays = carrier{nc, l.link}
	if opts.Replays != nil {
		l.replays = carrier{opts.Replays, watch(opts.Replays)}
	}
	l.ctx, l.stop = context.WithCancelCause(context.Background())
	l.creates = newCreates(l)
	l.deletes = newDeletes(l)
	l.infos = &infoCalls{log: l}
	return l, nil
}

// Close ends what is under way with ErrClosed, and blocks until the Log has no goroutine
// left and its consumers are deleted, for about five seconds at most.
func (l *Store) Close() {
	giveUp := time.AfterFunc(closeTimeout, func() { l.stop(ErrClosed) })
	defer giveUp.Stop()
	l.link.close()
	l.replays.link.close()
	l.infos.group.close()
	l.creates.close()
	l.deletes.close()
	l.stop(ErrClosed)
}
