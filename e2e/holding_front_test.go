package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// holdingFront is an HTTP proxy in front of a service. Like a virus scanner, it can hold back each response until
// the response has ended.
type holdingFront struct {
	*httptest.Server
	target       string
	transport    *http.Transport
	headersFirst bool // passes the headers at once, and holds back the body alone
	hold         atomic.Bool

	mu       sync.Mutex
	requests []frontRequest
}

// frontRequest is a request for events, and the status of its response; 0 while there is none.
type frontRequest struct {
	query, accept string
	status        int
}

func newHoldingFront(t *testing.T, s *service, headersFirst bool) *holdingFront {
	t.Helper()
	f := &holdingFront{target: s.httpAddr, headersFirst: headersFirst, transport: &http.Transport{DisableKeepAlives: true}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	t.Cleanup(f.CloseClientConnections)
	return f
}

func (f *holdingFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answered := func(int) {}
	if r.URL.Path == "/events" && r.Method == http.MethodGet {
		answered = f.record(r)
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host, out.RequestURI = "http", f.target, f.target, ""
	resp, err := f.transport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler) // the service is not reachable, or the client disconnected
	}
	defer resp.Body.Close()
	answered(resp.StatusCode)
	for _, name := range []string{"Connection", "Keep-Alive", "Transfer-Encoding"} {
		resp.Header.Del(name)
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	if f.hold.Load() {
		f.sendAtEnd(w, resp)
		return
	}
	w.WriteHeader(resp.StatusCode)
	stream := http.NewResponseController(w)
	_ = stream.Flush()
	buf := make([]byte, 32<<10)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			_ = stream.Flush()
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

func (f *holdingFront) sendAtEnd(w http.ResponseWriter, resp *http.Response) {
	if f.headersFirst {
		w.Header().Del("Content-Length")
		w.WriteHeader(resp.StatusCode)
		_ = http.NewResponseController(w).Flush()
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if !f.headersFirst {
		w.WriteHeader(resp.StatusCode)
	}
	_, _ = w.Write(body)
}

func (f *holdingFront) record(r *http.Request) (answered func(status int)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := len(f.requests)
	f.requests = append(f.requests, frontRequest{query: r.URL.RawQuery, accept: r.Header.Get("Accept")})
	return func(status int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.requests[i].status = status
	}
}

// recorded returns the requests for events so far.
func (f *holdingFront) recorded() []frontRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]frontRequest(nil), f.requests...)
}
