package loadtest

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// fakeServer is a small SSE server that resumes, and that makes faults on request, which the verdict
// must find.
type fakeServer struct {
	*httptest.Server
	faults faults

	mu      sync.Mutex
	open    int             // connections
	sockets map[string]bool // that had a connection, by the address of the client
	curves  map[tls.CurveID]int
	posts   []post
	events  []event
	ids     map[string]int // sequence of an event by its id
	changed chan struct{}
}

type event struct{ user, data string }

// post is a request to publish: its connection and its number of events.
type post struct {
	from   string
	events int
}

// faults happen to the events whose sequence is a multiple of the number.
type faults struct {
	drop, repeat, swap, leak int
	replayAll                bool // Last-Event-ID is ignored
	announce                 bool // a dropped event is announced as a gap
	refuse                   int  // the event that would have this sequence is rejected once
	storeRest                bool // and the rest of its array is stored
	short                    int  // number of results that an answer lacks
	endResponses             bool // responses end normally after some events
}

func newFakeServer(t *testing.T, f faults) *fakeServer {
	t.Helper()
	return newFakeServerOver(t, f, nil)
}

// newFakeServerOver starts a server with TLS, unless the configuration is nil. It accepts HTTP/1.1 and HTTP/2.
func newFakeServerOver(t *testing.T, f faults, tlsConfig *tls.Config) *fakeServer {
	t.Helper()
	d := &fakeServer{faults: f, ids: map[string]int{}, changed: make(chan struct{}), sockets: map[string]bool{}, curves: map[tls.CurveID]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /pub/{user}", d.publish)
	mux.HandleFunc("POST /publish", d.publishArray)
	mux.HandleFunc("GET /sub/{user}", d.subscribe)
	d.Server = httptest.NewUnstartedServer(mux)
	d.Config.Protocols = new(http.Protocols)
	d.Config.Protocols.SetHTTP1(true)
	d.Config.Protocols.SetHTTP2(true)
	d.Config.Protocols.SetUnencryptedHTTP2(true)
	if tlsConfig == nil {
		d.Start()
	} else {
		d.TLS, d.EnableHTTP2 = tlsConfig, true
		d.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that tests abort
		d.StartTLS()
	}
	t.Cleanup(func() { d.CloseClientConnections(); d.Close() })
	return d
}

func (d *fakeServer) publish(_ http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.posts = append(d.posts, post{r.RemoteAddr, 1})
	d.store(r.Header.Get("Idempotency-Key"), event{r.PathValue("user"), string(data)})
}

// store stores an event once and returns its sequence; d.mu is held.
func (d *fakeServer) store(id string, ev event) (seq int) {
	if d.ids[id] == 0 {
		d.events = append(d.events, ev)
		d.ids[id] = len(d.events)
		d.notify()
	}
	return d.ids[id]
}

// publishArray accepts arrays like Tidemark's /publish.
func (d *fakeServer) publishArray(w http.ResponseWriter, r *http.Request) {
	var bodies []struct{ User, Data string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&bodies); err != nil || len(bodies) > 1000 {
		http.Error(w, fmt.Sprintf("%d bodies, %v", len(bodies), err), http.StatusBadRequest)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.posts = append(d.posts, post{r.RemoteAddr, len(bodies)})
	var results []map[string]any
	for i, b := range bodies {
		nth := len(d.events) + 1
		if d.faults.refuse > 0 && nth == d.faults.refuse {
			d.faults.refuse = 0
			if !d.faults.storeRest {
				http.Error(w, "the store is unavailable", http.StatusServiceUnavailable)
				return
			}
			results = append(results, map[string]any{"error": "the store is unavailable"})
			continue
		}
		seq := d.store(fmt.Sprintf("%s:%d", r.Header.Get("Idempotency-Key"), i), event{b.User, b.Data})
		results = append(results, map[string]any{"stream": "DOUBLE", "seq": seq})
	}
	_ = json.NewEncoder(w).Encode(results[d.faults.short:])
}

// notify wakes the goroutines that wait for a change; d.mu is held.
func (d *fakeServer) notify() {
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *fakeServer) addOpen(open int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open += open
	d.notify()
}

func (d *fakeServer) addSocket(r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sockets[r.RemoteAddr] = true
	if r.TLS != nil {
		d.curves[r.TLS.CurveID]++
	}
}

func (d *fakeServer) socketCount() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.sockets)
}

// waitForOpen blocks until that many connections are open.
func (d *fakeServer) waitForOpen(n int) {
	for {
		d.mu.Lock()
		open, changed := d.open, d.changed
		d.mu.Unlock()
		if open == n {
			return
		}
		<-changed
	}
}

func (d *fakeServer) after(seq int) ([]event, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.events[min(seq, len(d.events)):], d.changed
}

func (d *fakeServer) subscribe(w http.ResponseWriter, r *http.Request) {
	d.addOpen(1)
	defer d.addOpen(-1)
	d.addSocket(r)
	seq, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	if d.faults.replayAll {
		seq = 0
	}
	form := formOf(r)
	w.Header().Set("Content-Type", form.accept())
	if form == FormJSON {
		d.poll(w, r, seq)
		return
	}
	fmt.Fprint(w, form.hello())
	for {
		events, changed := d.after(seq)
		for _, ev := range events {
			seq++
			d.write(w, r.PathValue("user"), ev, seq, form)
		}
		_ = http.NewResponseController(w).Flush()
		if d.faults.endResponses && seq > 0 && seq%7 == 0 {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

func every(n, seq int) bool { return n > 0 && seq%n == 0 }

func (d *fakeServer) write(w io.Writer, user string, ev event, seq int, form Form) {
	frame := form.frame("x", ev.data, seq)
	switch mine := ev.user == user || ev.user == "all"; {
	case !mine && !every(d.faults.leak, seq):
		return
	case every(d.faults.drop, seq):
		if d.faults.announce {
			fmt.Fprint(w, form.frame("tidemark.gap", "", seq))
		}
	case every(d.faults.repeat, seq):
		fmt.Fprint(w, frame, frame)
	case every(d.faults.swap, seq+1): // sent after the next one
	case every(d.faults.swap, seq):
		before, _ := d.after(seq - 2)
		fmt.Fprint(w, frame)
		fmt.Fprint(w, form.frame("x", before[0].data, seq-1))
	default:
		fmt.Fprint(w, frame)
	}
}

// options returns the options of a run against the server.
func (d *fakeServer) options(conns int) Options {
	return Options{
		URL: d.URL + "/sub/{user}", Publish: PublishTarget{URL: d.URL + "/pub/{user}"},
		Conns: conns, Rate: 400, For: time.Second, Payload: 120, Settle: 2 * time.Second, Insecure: d.TLS != nil,
	}
}
