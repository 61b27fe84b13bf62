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

// answer is what a client meets that had a stream and comes back.
type answer string

const (
	answerClean   answer = "a stream that ends"
	answerAborted answer = "a stream that is aborted"
	answerReset   answer = "a stream that is reset"
	answerSilent  answer = "a connection that is closed without an answer"
	answerRefused answer = "a port that is closed"
	answerNobody  answer = "200, retry: and an end"
	answer503     answer = "503"
	answer502     answer = "502"
	answer204     answer = "204"
	answerClean2  answer = "a stream by HTTP/2 that ends"
	// This is what nginx does, too, when a node dies that it has a stream of.
	answerReset2 answer = "a stream by HTTP/2 that is reset"
)

var answers = []answer{
	answerClean, answerAborted, answerReset, answerSilent, answerRefused, answerNobody, answer503, answer502, answer204,
	answerClean2, answerReset2,
}

// finals are the answers at which an engine's EventSource gives up for good: docs/reference/clients.md has
// them in a table. What is no answer with a status is none to give up at, as WHATWG HTML has it.
var finals = map[string][]answer{
	chromiumEngine: {answer503, answer502, answer204},
	firefoxEngine:  {answerSilent, answerRefused, answer503, answer502, answer204},
	webkitEngine:   {answer503, answer502, answer204},
}

// testManners looks what each engine's EventSource does at each answer. One that does not give up
// is seen to come back three times.
func (e engines) testManners(t *testing.T) {
	pages := e.open(t, recorder(t))
	servers := make(map[*tab][]*rude)
	for _, page := range pages {
		for i, a := range answers {
			s := newRude(t, a)
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
		if page.engine == webkitEngine { // which does not notice this one, and so comes to no end
			settled += fmt.Sprintf(" || i === %d", slices.Index(answers, answerReset2))
		}
		page.await("heard.every((h, i) => " + settled + ")")
		var gaveUp []answer
		for i, a := range answers {
			if eval[int](page, fmt.Sprintf("heard[%d].source.readyState", i)) == 2 {
				gaveUp = append(gaveUp, a)
			}
			t.Logf("%s, %s: readyState %d after %d errors", page.engine, a, eval[int](page, fmt.Sprintf("heard[%d].source.readyState", i)), eval[int](page, fmt.Sprintf("heard[%d].errors", i)))
			if a == answerNobody {
				t.Logf("%s comes back at these times after a retry of 100 ms: %v", page.engine, servers[page][i].pauses())
			}
		}
		if !slices.Equal(gaveUp, finals[page.engine]) {
			t.Errorf("%s gave up at %q; docs/reference/clients.md says at %q", page.engine, gaveUp, finals[page.engine])
		}
	}
}

// rude serves one stream until it begins to answer otherwise.
type rude struct {
	how   answer
	addr  string
	srv   *httptest.Server
	begun chan struct{}

	mu    sync.Mutex
	asked []time.Time
}

func newRude(t *testing.T, how answer) *rude {
	t.Helper()
	l, err := net.Listen("tcp", freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	r := &rude{how: how, addr: l.Addr().String(), begun: make(chan struct{})}
	r.srv = &httptest.Server{Listener: l, Config: &http.Server{Handler: r}}
	if how == answerClean2 || how == answerReset2 {
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

func (r *rude) begin() {
	close(r.begun)
	if r.how == answerRefused {
		r.srv.CloseClientConnections()
		_ = r.srv.Listener.Close()
	}
}

// pauses are the times between requests.
func (r *rude) pauses() (all []time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := 2; i < len(r.asked); i++ {
		all = append(all, r.asked[i].Sub(r.asked[i-1]).Round(10*time.Millisecond))
	}
	return all
}

func (r *rude) ServeHTTP(w http.ResponseWriter, req *http.Request) {
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

func (r *rude) answer(w http.ResponseWriter) {
	switch r.how {
	case answer503, answer502, answer204:
		var status int
		_, _ = fmt.Sscan(string(r.how), &status)
		w.WriteHeader(status)
	case answerSilent:
		panic(http.ErrAbortHandler)
	case answerNobody:
		stream(w, "retry: 100\n: no node answers\n\n")
	default:
		stream(w, "retry: 100\n\ndata: 2\n\n")
		r.end(w)
	}
}

// end ends a stream.
func (r *rude) end(w http.ResponseWriter) {
	switch r.how {
	case answerAborted, answerReset2:
		panic(http.ErrAbortHandler)
	case answerReset:
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
