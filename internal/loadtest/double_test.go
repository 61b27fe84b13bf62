package loadtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// double is a small SSE server that resumes, and that can be told to do it wrong. It is
// what the stand is tested on: a verdict is worth what it finds.
type double struct {
	*httptest.Server
	faults faults

	mu      sync.Mutex
	open    int // subscriptions
	posts   []post
	events  []event
	ids     map[string]int // of an event, and its place
	changed chan struct{}
}

type event struct{ user, data string }

// post is a request to publish: whom from, and how many events it had.
type post struct {
	from   string
	events int
}

// faults happen to the events whose number within the server is a multiple of the figure.
type faults struct {
	drop, repeat, swap, leak int
	replayAll                bool // Last-Event-ID is ignored
	announce                 bool // a dropped event is announced as a gap
	refuse                   int  // the event that is to be stored at this place is refused once
	goOn                     bool // and what comes after it in the array is stored
	short                    int  // results that an answer lacks
	clean                    bool // chunked responses end cleanly now and then
}

func newDouble(t *testing.T, f faults) *double {
	t.Helper()
	d := &double{faults: f, ids: map[string]int{}, changed: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /pub/{user}", d.publish)
	mux.HandleFunc("POST /publish", d.publishArray)
	mux.HandleFunc("GET /sub/{user}", d.subscribe)
	d.Server = httptest.NewUnstartedServer(mux)
	d.Config.Protocols = new(http.Protocols)
	d.Config.Protocols.SetHTTP1(true)
	d.Config.Protocols.SetUnencryptedHTTP2(true)
	d.Start()
	t.Cleanup(func() { d.CloseClientConnections(); d.Close() })
	return d
}

func (d *double) publish(_ http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.posts = append(d.posts, post{r.RemoteAddr, 1})
	d.store(r.Header.Get("Idempotency-Key"), event{r.PathValue("user"), string(data)})
}

// store keeps an event once and returns its place; d.mu is held.
func (d *double) store(id string, ev event) (seq int) {
	if d.ids[id] == 0 {
		d.events = append(d.events, ev)
		d.ids[id] = len(d.events)
		d.tell()
	}
	return d.ids[id]
}

// publishArray takes bodies as Tidemark's /publish does.
func (d *double) publishArray(w http.ResponseWriter, r *http.Request) {
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
			if !d.faults.goOn {
				http.Error(w, "the store is away", http.StatusServiceUnavailable)
				return
			}
			results = append(results, map[string]any{"error": "the store is away"})
			continue
		}
		seq := d.store(fmt.Sprintf("%s:%d", r.Header.Get("Idempotency-Key"), i), event{b.User, b.Data})
		results = append(results, map[string]any{"stream": "DOUBLE", "seq": seq})
	}
	_ = json.NewEncoder(w).Encode(results[d.faults.short:])
}

// tell wakes all who wait for a change; d.mu is held.
func (d *double) tell() {
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *double) count(open int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open += open
	d.tell()
}

// awaitOpen blocks until so many subscriptions are open.
func (d *double) awaitOpen(n int) {
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

func (d *double) after(seq int) ([]event, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.events[min(seq, len(d.events)):], d.changed
}

func (d *double) subscribe(w http.ResponseWriter, r *http.Request) {
	d.count(1)
	defer d.count(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	seq, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	if d.faults.replayAll {
		seq = 0
	}
	fmt.Fprint(w, ": hello\n\n")
	for {
		events, changed := d.after(seq)
		for _, ev := range events {
			seq++
			d.write(w, r.PathValue("user"), ev, seq)
		}
		_ = http.NewResponseController(w).Flush()
		if d.faults.clean && seq > 0 && seq%7 == 0 {
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

func (d *double) write(w io.Writer, user string, ev event, seq int) {
	frame := fmt.Sprintf("event: x\ndata: {\"text\":\"%s\"}\nid: %d\n\n", ev.data, seq)
	switch mine := ev.user == user || ev.user == "all"; {
	case !mine && !every(d.faults.leak, seq):
		return
	case every(d.faults.drop, seq):
		if d.faults.announce {
			fmt.Fprintf(w, "event: tidemark.gap\ndata: {}\nid: %d\n\n", seq)
		}
	case every(d.faults.repeat, seq):
		fmt.Fprint(w, frame, frame)
	case every(d.faults.swap, seq+1): // it comes after the next one
	case every(d.faults.swap, seq):
		before, _ := d.after(seq - 2)
		fmt.Fprint(w, frame)
		fmt.Fprintf(w, "event: x\ndata: {\"text\":\"%s\"}\nid: %d\n\n", before[0].data, seq-1)
	default:
		fmt.Fprint(w, frame)
	}
}

// options are a run against the double.
func (d *double) options(conns int) Options {
	return Options{
		URL: d.URL + "/sub/{user}", Publish: PublishTarget{URL: d.URL + "/pub/{user}"},
		Conns: conns, Rate: 400, For: time.Second, Payload: 120, Settle: 2 * time.Second,
	}
}

func TestMarker(t *testing.T) {
	m := marker{run: "cafe0123", key: "u42", n: 7, sent: time.Unix(1, 5)}
	data := `{"text":"` + m.payload(200) + `"}`
	key, n, sent, ok := findMarker([]byte(data), "cafe0123")
	if !ok || string(key) != "u42" || n != 7 || sent != 1_000_000_005 || len(m.payload(200)) != 200 {
		t.Errorf("%s: %s %d %d %v", data, key, n, sent, ok)
	}
	for _, other := range []string{"", "tm=", "tm=deadbeef/u42/7/1;", "no marker", "tm=cafe0123/"} {
		if _, _, _, ok := findMarker([]byte(other), "cafe0123"); ok {
			t.Errorf("%q has a marker of the run", other)
		}
	}
	if strings.ContainsAny(m.String(), `"\&?#{}<> `) {
		t.Errorf("%q has characters that something would escape", m)
	}
}
