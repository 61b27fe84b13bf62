package tidemark

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/httpserver"
	"github.com/tidemark/tidemark/internal/lifecycle"
	"github.com/tidemark/tidemark/pkg/auth"
)

// closeTimeout bounds how long Close waits for clients to accept tidemark.close.
const closeTimeout = 5 * time.Second

// Feed serves the events of one stream to any number of clients. Open one with [Open].
type Feed struct {
	config    config
	store     store
	admission *feedhttp.Admission
	revoked   *auth.Revocations
	cors      http.Handler // before serve

	life *lifecycle.Group // of the tail and the store

	mu       sync.Mutex
	handlers map[*server]*feedhttp.Subscribe // nil is the server of the program
	servers  map[*server]struct{}            // of Serve
	drained  bool
}

// store is the stream of a Feed, for reading and publishing.
type store struct {
	events    *feed.Feed
	publisher feed.Publisher
	accept    func(ctx context.Context, subject string) error // nil if a client can receive it
	close     func()                                          // once events have ended

	duplicateWindow func(ctx context.Context, stream string) time.Duration // as in feedhttp.PublishOptions
}

func newFeed(c config, s store) *Feed {
	f := &Feed{
		config: c, store: s, admission: feedhttp.NewAdmission(c.limits(), c.Limits.TrustedProxies...),
		revoked:  &auth.Revocations{Keep: c.RevokeFor, Leeway: clockLeeway},
		handlers: make(map[*server]*feedhttp.Subscribe), servers: make(map[*server]struct{}),
	}
	f.cors = httpserver.CORS(http.HandlerFunc(f.serve), c.CORS.Origins, c.CORS.Credentials)
	f.life = lifecycle.New(context.Background())
	f.life.OnStop(s.close)
	f.life.Go(func(ctx context.Context) error {
		_ = s.events.Run(ctx) // it restarts its tail, and returns when ctx ends
		return nil
	})
	return f
}

// onceReady calls do when the stream has been reached, unless the Feed is closed before.
func (f *Feed) onceReady(do func(context.Context)) {
	f.life.Go(func(ctx context.Context) error {
		select {
		case <-f.store.events.Ready():
			do(ctx)
		case <-ctx.Done():
		}
		return nil
	})
}

// ServeHTTP implements [http.Handler]. It does not depend on the path, so that a Feed can be mounted
// anywhere, also several times.
//
//   - GET opens a connection (text/event-stream), HEAD returns its headers, OPTIONS the methods.
//   - It blocks until the connection ends: because the client disconnected, a limit, MaxAge or MaxIdle
//     was reached, or Drain or Close was called. Under [Feed.Serve] it returns at once where the engine
//     takes the connection over, and so ends the request's context.
//   - The response ends by a panic with [http.ErrAbortHandler], as clients reconnect only after an
//     abort in all libraries. Middleware that recovers must pass this panic on, as that of
//     httputil.ReverseProxy.
//   - Before the first byte, requests that must not be repeated are answered with 4xx as
//     application/problem+json: 400 (query, position), 401 and 403 (identity, subjects), 405. EventSource gives up
//     on any status but 200, so everything else is answered with 200 and tidemark.close.
//   - Middleware must not buffer or compress the response, and an http.Server must have no WriteTimeout.
func (f *Feed) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.cors.ServeHTTP(w, r) }

func (f *Feed) serve(w http.ResponseWriter, r *http.Request) {
	s := serverOf(r.Context())
	if s != nil {
		s.learn(w, r)
	}
	f.handler(s).ServeHTTP(w, r)
}

// handler returns the handler of the connections of a server: each server has an engine, that of the
// program has none.
func (f *Feed) handler(s *server) *feedhttp.Subscribe {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := f.handlers[s]; h != nil {
		return h
	}
	if s != nil && !s.attach(f) {
		s = nil // it has stopped, and its connections are closed
		if h := f.handlers[nil]; h != nil {
			return h
		}
	}
	var writer *engine.Engine
	if s != nil {
		writer = s.engine
	}
	h := f.newHandler(writer)
	if f.drained || s != nil && s.stopping() {
		h.AnnounceDrain()
	}
	f.handlers[s] = h
	return h
}

func (f *Feed) newHandler(writer *engine.Engine) *feedhttp.Subscribe {
	c := f.config
	identify := c.Identify
	if identify != nil {
		identify = f.revoked.RejectRevoked(required(identify))
	}
	return feedhttp.NewSubscribe(feedhttp.SubscribeOptions{
		Feed: f.store.events, Stream: c.Stream, Name: c.Stream, Selection: c.selection,
		Identify: identify, Check: f.revoked.Check, Engine: writer, Admission: f.admission,
		Retry: c.Retry, RetryLater: c.RetryLater, Heartbeat: c.Heartbeat, WriteTimeout: c.WriteTimeout,
		MaxAge: c.MaxAge, MaxIdle: c.MaxIdle, Logger: c.Logger.With("feed", c.Stream),
	})
}

// Status is a Feed at one moment.
type Status struct {
	Connections int // open now
	Replays     int // of these, those that read stored events from JetStream
	// Events and Bytes are the size of the window. Oldest is when its first event was stored; zero if the window is
	// empty.
	Events, Bytes int
	Oldest        time.Time
	// Lost is the reason why the stream cannot be reached now; nil while it is followed. It is the text for a
	// readiness check: connections are accepted, and wait.
	Lost error
}

// Status does not block on NATS.
func (f *Feed) Status() Status {
	s := f.store.events.Status()
	connections, replays := f.admission.Counts()
	return Status{Connections: connections, Replays: replays, Events: s.Events, Bytes: s.Bytes, Oldest: s.Oldest, Lost: s.Lost}
}

// Drain closes the connections with tidemark.close, one by one over Options.DrainPeriod. So the clients reconnect
// to other nodes without a storm. Later connections are closed at once. Then it stops the servers of [Feed.Serve],
// as [http.Server.Shutdown] does, with the connections of other feeds on them.
//
// It blocks until all have ended, or ctx ends; its error then is that of ctx, and the remaining connections stay
// until Close. Publishing still works. Drain may be called more than once.
func (f *Feed) Drain(ctx context.Context) error {
	handlers, servers := f.drain()
	if err := drainAll(ctx, handlers, f.config.DrainPeriod); err != nil {
		return err
	}
	var errs []error
	for _, s := range servers {
		errs = append(errs, s.shutdown(ctx))
	}
	return errors.Join(errs...)
}

// drain rejects new connections, and returns the handlers and servers to be drained.
func (f *Feed) drain() (handlers []*feedhttp.Subscribe, servers []*server) {
	f.mu.Lock()
	f.drained = true
	for _, h := range f.handlers {
		handlers = append(handlers, h)
	}
	for s := range f.servers {
		servers = append(servers, s)
	}
	f.mu.Unlock()
	for _, s := range servers {
		for _, other := range s.stopConnects() {
			if other != f {
				handlers = append(handlers, other.handler(s))
			}
		}
	}
	return handlers, servers
}

func drainAll(ctx context.Context, handlers []*feedhttp.Subscribe, period time.Duration) error {
	errs := make([]error, len(handlers))
	var drains sync.WaitGroup
	for i, h := range handlers {
		drains.Go(func() { errs[i] = h.Drain(ctx, period) })
	}
	drains.Wait()
	return errors.Join(errs...)
}

// Close ends everything: connections, the servers of Serve with all their requests, the reader of
// the stream, and the publisher. It waits until they have ended, for some ten seconds at most, and
// does not close the connection to NATS. Connections whose clients accept no bytes end with the
// program's server, or after Options.WriteTimeout. It may be called more than once.
func (f *Feed) Close() {
	handlers, servers := f.drain()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := drainAll(ctx, handlers, 0); err != nil {
		f.config.Logger.Warn("drain: connections have not ended in time; they end with the program's server", "error", err)
	}
	for _, s := range servers {
		s.close()
	}
	_ = f.life.Stop()
}
