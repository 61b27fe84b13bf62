package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// response is the answer to a client that reconnects.
type response string

const (
	responseClean   response = "a stream that ends"
	responseAborted response = "a stream that is aborted"
	responseReset   response = "a stream that is reset"
	responseSilent  response = "a connection that is closed without an answer"
	responseRefused response = "a port that is closed"
	responseNobody  response = "200, retry: and an end"
	response503     response = "503"
	response502     response = "502"
	response204     response = "204"
	responseClean2  response = "a response by HTTP/2 that ends"
	// nginx does the same when a node with open connections is killed.
	responseReset2 response = "a stream by HTTP/2 that is reset"
)

var responses = []response{
	responseClean, responseAborted, responseReset, responseSilent, responseRefused, responseNobody, response503, response502, response204,
	responseClean2, responseReset2,
}

// finalResponses are the responses after which the EventSource of an engine gives up; docs/reference/clients.md
// has the table. By WHATWG HTML, a client does not give up after a failure without a status.
var finalResponses = map[string][]response{
	chromiumEngine: {response503, response502, response204},
	firefoxEngine:  {responseSilent, responseRefused, response503, response502, response204},
	webkitEngine:   {response503, response502, response204},
}

// testReconnectResponses observes the EventSource of each engine after each response. An engine that does not give up
// must reconnect three times.
func (e engines) testReconnectResponses(t *testing.T) {
	pages := e.open(t, recorder(t))
	servers := make(map[*tab][]*reconnectServer)
	for _, page := range pages {
		for i, a := range responses {
			s := newReconnectServer(t, a)
			servers[page] = append(servers[page], s)
			eval[bool](page, fmt.Sprintf("follow('%s/?'), true", s.srv.URL))
			page.await(fmt.Sprintf("heard[%d].events.length > 0", i))
		}
	}
	for _, page := range pages {
		for _, s := range servers[page] {
			s.begin()
		}
	}
	for _, page := range pages {
		settled := "h.source.readyState === 2 || h.errors > 3"
		if page.engine == webkitEngine { // which does not notice this one, and so never settles
			settled += fmt.Sprintf(" || i === %d", slices.Index(responses, responseReset2))
		}
		page.await("heard.every((h, i) => " + settled + ")")
		var gaveUp []response
		for i, a := range responses {
			if eval[int](page, fmt.Sprintf("heard[%d].source.readyState", i)) == 2 {
				gaveUp = append(gaveUp, a)
			}
			t.Logf("%s, %s: readyState %d after %d errors", page.engine, a, eval[int](page, fmt.Sprintf("heard[%d].source.readyState", i)), eval[int](page, fmt.Sprintf("heard[%d].errors", i)))
			if a == responseNobody {
				t.Logf("%s comes back at these times after a retry of 100 ms: %v", page.engine, servers[page][i].pauses())
			}
		}
		if !slices.Equal(gaveUp, finalResponses[page.engine]) {
			t.Errorf("%s gave up at %q; docs/reference/clients.md says at %q", page.engine, gaveUp, finalResponses[page.engine])
		}
	}
}

// reconnectServer serves one connection, and answers with its response after begin.
type reconnectServer struct {
	how   response
	addr  string
	srv   *httptest.Server
	begun chan struct{}

	mu    sync.Mutex
	asked []time.Time
}

func newReconnectServer(t *testing.T, how response) *reconnectServer {
	t.Helper()
	l, err := net.Listen("tcp", freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	r := &reconnectServer{how: how, addr: l.Addr().String(), begun: make(chan struct{})}
	r.srv = &httptest.Server{Listener: l, Config: &http.Server{Handler: r}}
	if how == responseClean2 || how == responseReset2 {
		r.srv.EnableHTTP2 = true
		r.srv.StartTLS()
	} else {
		r.srv.Start()
	}
	t.Cleanup(func() {
		r.srv.CloseClientConnections()
		r.srv.Close()
	})
	return r
}

func (r *reconnectServer) begin() {
	close(r.begun)
	if r.how == responseRefused {
		r.srv.CloseClientConnections()
		_ = r.srv.Listener.Close()
	}
}

// pauses returns the times between requests.
func (r *reconnectServer) pauses() (all []time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := 2; i < len(r.asked); i++ {
		all = append(all, r.asked[i].Sub(r.asked[i-1]).Round(10*time.Millisecond))
	}
	return all
}

func (r *reconnectServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.asked = append(r.asked, time.Now())
	r.mu.Unlock()
	w.Header().Set("Access-Control-Allow-Origin", "*")
	select {
	case <-r.begun:
		r.answer(w)
	default:
		stream(w, "retry: 100\n\ndata: 1\n\n")
		select {
		case <-r.begun:
			r.end(w)
		case <-req.Context().Done():
		}
	}
}

func (r *reconnectServer) answer(w http.ResponseWriter) {
	switch r.how {
	case response503, response502, response204:
		var status int
		_, _ = fmt.Sscan(string(r.how), &status)
		w.WriteHeader(status)
	case responseSilent:
		panic(http.ErrAbortHandler)
	case responseNobody:
		stream(w, "retry: 100\n: no node answers\n\n")
	default:
		stream(w, "retry: 100\n\ndata: 2\n\n")
		r.end(w)
	}
}

// end ends a response.
func (r *reconnectServer) end(w http.ResponseWriter) {
	switch r.how {
	case responseAborted, responseReset2:
		panic(http.ErrAbortHandler)
	case responseReset:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			reset(conn)
		}
	}
}

func stream(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = strings.NewReader(text).WriteTo(w)
	_ = http.NewResponseController(w).Flush()
}
