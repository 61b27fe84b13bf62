package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// scriptServer answers each request with the next step of its script. It repeats the last step.
type scriptServer struct {
	*httptest.Server
	script []http.HandlerFunc

	mu       sync.Mutex
	requests []*http.Request
}

// protocols runs a test over HTTP/1.1 and over HTTP/2, which abort a stream differently.
func protocols(t *testing.T, test func(t *testing.T, http2 bool)) {
	t.Run("http1", func(t *testing.T) { test(t, false) })
	t.Run("http2", func(t *testing.T) { test(t, true) })
}

func newServer(t *testing.T, http2 bool, script ...http.HandlerFunc) *scriptServer {
	s := &scriptServer{script: script}
	s.Server = httptest.NewUnstartedServer(s)
	if s.EnableHTTP2 = http2; http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func (s *scriptServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	step := s.script[min(len(s.requests), len(s.script))-1]
	s.mu.Unlock()
	step(w, r)
}

// request returns the n-th request, counted from 0.
func (s *scriptServer) request(n int) *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[n]
}

func (s *scriptServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// options returns client options with short waits.
func (s *scriptServer) options() Options {
	return Options{
		URL: s.URL + "/events?user=42", HTTPClient: s.Client(),
		MinBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond,
	}
}

// Steps of a script.

func send(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	_, _ = io.WriteString(w, text)
	_ = http.NewResponseController(w).Flush()
}

func thenEnd(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { send(w, text) }
}

func thenAbort(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		send(w, text)
		panic(http.ErrAbortHandler)
	}
}

func thenSilence(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		send(w, text)
		<-r.Context().Done()
	}
}

func answer(status int, contentType, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// message returns the frame of sequence seq in the server's format.
func message(seq int) string {
	return fmt.Sprintf("event: greeting\ndata: message %d\nid: %d-k7f3q9\n\n", seq, seq)
}

// collect follows the feed until it has n events or Follow ends. It requests another event after
// the last, so that the position of the last is saved.
func collect(t *testing.T, opts Options, n int) (evs []Event, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for ev, err := range Follow(ctx, opts) {
		if err != nil && len(evs) == n && ctx.Err() == context.Canceled {
			return evs, nil
		}
		if err != nil {
			return evs, err
		}
		if evs = append(evs, ev); len(evs) == n {
			cancel()
		}
	}
	t.Error("Follow ended without an error")
	return evs, nil
}
