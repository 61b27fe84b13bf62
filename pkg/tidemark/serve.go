package tidemark

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/httpserver"
)

// Serve serves mux on a listener with the engine. On Linux and over HTTP/1.1, connections of every Feed in mux
// then cost no goroutine. All other requests are served as by net/http: other paths, and HTTP/2 in the clear (h2c).
// A nil mux is f alone, at every path.
//
//   - It blocks until Drain or Close of f has stopped it, and then returns nil; else it returns
//     the error of the listener, or [http.ErrServerClosed] where f was drained before. All of its connections have
//     ended when it returns, and l is closed.
//
//   - The head of a request has 10 s and 64 KiB, a request with its body 30 s. There is no timeout for
//     responses.
//
//   - Where a path has served events, the engine reads later requests for it. It collects other responses
//     than events before it sends them, so such a path should serve events alone.
//
//   - Middleware before the Feed works if its ResponseWriter has Unwrap or Hijack. Where it has
//     neither, connections cost a goroutine as with net/http.
//
//   - Stop it with Drain or Close. The engine has a descriptor of the socket of l, so that closing l
//     does not stop it.
//
//   - To serve without the engine, as a node does with http.engine off, use an [http.Server] with f as its handler.
//
// It may be called for several listeners.
func (f *Feed) Serve(l net.Listener, mux http.Handler) error { return f.serveListener(l, mux, nil) }

// ServeTLS is Serve with TLS, for HTTP/1.1 and HTTP/2. cfg needs a certificate, and is copied. Without NextProtos it
// offers both protocols; without a minimum version it accepts TLS 1.2 and 1.3.
func (f *Feed) ServeTLS(l net.Listener, mux http.Handler, cfg *tls.Config) error {
	return f.serveListener(l, mux, cfg.Clone())
}

func (f *Feed) serveListener(l net.Listener, mux http.Handler, cfg *tls.Config) error {
	if mux == nil {
		mux = f
	}
	s, err := newServer(mux, cfg, f.config.Logger)
	if err != nil {
		_ = l.Close()
		return fmt.Errorf("tidemark: serve: %w", err)
	}
	f.mu.Lock()
	drained := f.drained
	if !drained {
		f.servers[s] = struct{}{}
	}
	f.mu.Unlock()
	if drained {
		s.engine.Close()
		_ = l.Close()
		return http.ErrServerClosed
	}
	defer func() {
		f.mu.Lock()
		delete(f.servers, s)
		f.mu.Unlock()
	}()
	return s.run(l)
}

// maxLearned bounds the paths of one server at which the engine reads requests.
const maxLearned = 64

// server is one call of Serve: a listener, its engine and its http.Server.
type server struct {
	engine  *engine.Engine
	http    *http.Server
	sockets *engine.Sockets
	paths   atomic.Pointer[map[string]bool] // that have served events; replaced whole
	ended   chan struct{}                   // closed when shutdown or close has stopped the http.Server
	end     sync.Once                       // closes ended
	done    chan struct{}                   // closed when run has returned

	mu       sync.Mutex
	feeds    map[*Feed]bool // that serve connections with the engine
	draining bool           // connections are no longer accepted
	closed   bool           // the engine is closed
}

type serverKey struct{}

// serverOf returns the server that a request came through; nil where the program has its own.
func serverOf(ctx context.Context) *server {
	s, _ := ctx.Value(serverKey{}).(*server)
	return s
}

func newServer(handler http.Handler, cfg *tls.Config, logger *slog.Logger) (*server, error) {
	e, err := engine.New()
	if err != nil {
		return nil, err
	}
	s := &server{
		engine: e, ended: make(chan struct{}), done: make(chan struct{}), feeds: make(map[*Feed]bool),
		sockets: engine.NewSockets(engine.SocketOptions{Logger: logger}),
		http:    httpserver.New(handler, httpserver.Options{ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug)}),
	}
	s.paths.Store(&map[string]bool{})
	if s.http.TLSConfig = cfg; cfg != nil {
		s.http.Protocols.SetUnencryptedHTTP2(false)
		s.http.Protocols.SetHTTP2(true)
	}
	s.http.BaseContext = func(net.Listener) context.Context { return context.WithValue(context.Background(), serverKey{}, s) }
	return s, nil
}

// run blocks until the server has stopped, and closes the engine.
func (s *server) run(l net.Listener) error {
	defer close(s.done)
	defer s.detach()
	front, err := s.engine.Attach(s.http, l, engine.ListenerOptions{
		Handler: s.named(s.http.Handler), IsSubscribe: s.learned, Sockets: s.sockets, SendBuffer: httpserver.SendBuffer,
	})
	if err != nil {
		_ = l.Close()
		return fmt.Errorf("tidemark: serve: %w", err)
	}
	err = s.http.Serve(front)
	if errors.Is(err, http.ErrServerClosed) {
		<-s.ended
		return nil
	}
	_ = s.http.Close()
	_ = front.Close()
	return err
}

// named sets the context of requests from the engine to that of requests from the http.Server.
func (s *server) named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), serverKey{}, s)))
	})
}

// learn notes the path of a request for events, as the client sent it, if the engine can take such
// connections over: middleware may be in the way.
func (s *server) learn(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || !hijackable(w) {
		return
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if s.learned(path) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := *s.paths.Load()
	if len(now) < maxLearned {
		now = maps.Clone(now)
		now[path] = true
		s.paths.Store(&now)
	}
}

func (s *server) learned(path string) bool { return (*s.paths.Load())[path] }

// hijackable reports whether http.ResponseController can hijack the connection of w.
func hijackable(w http.ResponseWriter) bool {
	for {
		switch inner := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			return false
		}
	}
}

// attach adds a feed with connections on the server. It returns false once the engine is closed.
func (s *server) attach(f *Feed) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.feeds[f] = true
	}
	return !s.closed
}

func (s *server) stopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// stopConnects makes new connections of all feeds end at once, and returns the feeds.
func (s *server) stopConnects() []*Feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	return slices.Collect(maps.Keys(s.feeds))
}

// detach closes the engine, which ends the remaining connections.
func (s *server) detach() {
	s.mu.Lock()
	s.closed = true
	feeds := slices.Collect(maps.Keys(s.feeds))
	s.mu.Unlock()
	s.engine.Close()
	for _, f := range feeds {
		f.mu.Lock()
		delete(f.handlers, s)
		f.mu.Unlock()
	}
}

// shutdown waits for requests other than connections of feeds.
func (s *server) shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err == nil {
		s.end.Do(func() { close(s.ended) })
	}
	return err
}

// close ends all requests, and waits until run has returned.
func (s *server) close() {
	_ = s.http.Close()
	s.end.Do(func() { close(s.ended) })
	<-s.done
}
