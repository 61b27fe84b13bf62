package jetstore

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jsapi"
	"github.com/tidemark/tidemark/internal/natsconn"
)

// ErrClosed ends requests under way when a Store is closed, and is returned by later ones.
var ErrClosed = errors.New("the store is closed")

// closeTimeout bounds how long Close waits for consumers to be deleted.
const closeTimeout = 5 * time.Second

// Store reads and follows one stream of JetStream: a feed.Store.
type Store struct {
	opts    Options
	main    watchedConn // of the tail and of requests
	replays watchedConn // of the events of replays

	leader   *leader
	infos    *infoCalls
	subjects *subjectCounter
	creator  *consumerCreator
	deleter  *consumerDeleter
	decoder  *decoder
	counts   *counts

	lagLog     logLimiter
	refusalLog logLimiter // of pull requests

	stop context.CancelCauseFunc // ends leader.ctx
}

// watchedConn is a connection for pull requests and their deliveries.
type watchedConn struct {
	*nats.Conn
	watcher *natsconn.Watcher
}

func watchConn(nc *nats.Conn) watchedConn { return watchedConn{nc, natsconn.Watch(nc)} }

var _ feed.Store = (*Store)(nil)

// Open prepares to read a stream. It does not block on the network: neither the stream nor
// NATS need be there yet. The caller closes the Store, and afterwards nc and Options.Replays.
func Open(nc *nats.Conn, opts Options) (*Store, error) {
	if nc == nil {
		return nil, errors.New("jetstore: no connection")
	}
	opts, err := opts.resolve()
	if err != nil {
		return nil, err
	}
	s := &Store{opts: opts, main: watchConn(nc), counts: new(counts)}
	s.replays = s.main
	if opts.Replays != nil {
		s.replays = watchConn(opts.Replays)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	s.stop = stop
	s.leader = &leader{
		api:    jsapi.Client{Conn: nc, Prefix: opts.APIPrefix, Timeout: opts.RequestTimeout, Watcher: s.main.watcher},
		stream: opts.Stream, log: opts.Logger, ctx: ctx,
	}
	s.infos = &infoCalls{leader: s.leader}
	s.subjects = &subjectCounter{leader: s.leader, scans: opts.Scans}
	s.deleter = &consumerDeleter{leader: s.leader}
	s.creator = &consumerCreator{
		leader: s.leader, deleter: s.deleter, counts: s.counts, scans: opts.Scans, slots: make(chan struct{}, opts.MaxCreates),
	}
	s.decoder = &decoder{log: opts.Logger, typeLog: logLimiter{every: time.Minute}, trace: opts.Trace}
	return s, nil
}

// Close ends requests under way with ErrClosed. It blocks until all goroutines of the Store have ended and its
// consumers are deleted, for about five seconds at most.
func (s *Store) Close() {
	timeout := time.AfterFunc(closeTimeout, func() { s.stop(ErrClosed) })
	defer timeout.Stop()
	s.main.watcher.Close(ErrClosed)
	s.replays.watcher.Close(ErrClosed)
	s.infos.group.close()
	s.subjects.close()
	s.creator.close()
	s.deleter.close()
	s.stop(ErrClosed)
}

// consumerConfig returns the common part of the tail and of replays: the server keeps nothing of the consumer
// on disk, has it on one replica, and waits for no acknowledgement.
func (o *Options) consumerConfig(filters []string) jetstream.ConsumerConfig {
	cfg := jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: o.InactiveThreshold,
	}
	if len(filters) == 1 {
		cfg.FilterSubject = filters[0]
	} else {
		cfg.FilterSubjects = filters
	}
	return cfg
}
