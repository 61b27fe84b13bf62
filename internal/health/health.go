// Package health answers whether a node is alive (/healthz) and ready for clients (/readyz), and reports its state
// (/admin/status, and the status of its NATS micro service).
//
// A node is ready while its checks succeed and its tails have caught up with their streams. An error that is
// marked with [Degraded] is reported, and does not make the node unready.
package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/presence"
)

// Timeout bounds how long one request to the streams' leaders takes.
const Timeout = 2 * time.Second

// The values of Report.Status.
const (
	ok          = "ok"
	degraded    = "degraded"
	unavailable = "unavailable"
)

// Options are the parts of a node to be checked. Admission, Budget and NATSServer are needed.
type Options struct {
	Node, Version string
	Engine        string // http.engine
	Started       time.Time
	Checks        []Check
	Feeds         map[string]*feed.Feed // by stream
	Handlers      []*feedhttp.Subscribe
	Admission     *feedhttp.Admission
	Budget        *feed.ReplayBudget
	// NATSServer returns the name of the server that the node is connected to.
	NATSServer func() string
	// IgnoredHeaders counts requests with identity headers of untrusted peers; nil where none are read.
	IgnoredHeaders func() uint64
	// Presence returns the state of presence; nil where it is off.
	Presence func() presence.Status
}

// Check is one check of a node. Do returns quickly; its error is the text in the report.
type Check struct {
	Name string
	Do   func() error
}

// Degraded marks an error as compatible with serving clients; nil stays nil.
func Degraded(err error) error {
	if err == nil {
		return nil
	}
	return degradedError{err}
}

type degradedError struct{ error }

func (e degradedError) Unwrap() error { return e.error }

// Reporter reports the health of a node. Make it with New; its methods are safe for concurrent use.
type Reporter struct{ opts Options }

// New returns a Reporter.
func New(opts Options) *Reporter { return &Reporter{opts} }

// Healthz answers 200 while the process runs.
func (r *Reporter) Healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": ok})
}

// Readyz answers 200 while clients should be sent to this node, else 503. It blocks for Timeout at most.
func (r *Reporter) Readyz(w http.ResponseWriter, req *http.Request) {
	report := r.Report(req.Context())
	status := http.StatusOK
	if report.Status == unavailable {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, report)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails when the client has disconnected
}

// Report runs all checks. It blocks for Timeout at most.
func (r *Reporter) Report(ctx context.Context) Report {
	h := Report{Status: ok, Node: r.opts.Node, Checks: map[string]string{}, Windows: map[string]Window{}, Stored: map[string]Stored{}}
	h.Streams, h.Replays = r.opts.Admission.Counts()
	h.Refused = r.refused()
	h.NATS = r.opts.NATSServer()
	for _, check := range r.opts.Checks {
		h.add(check.Name, check.Do())
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	for name, f := range r.opts.Feeds {
		state, err := checkTail(ctx, f)
		h.add("tail "+name, err)
		if state.Epoch != "" {
			h.Stored[name] = Stored{state.FirstSeq, state.LastSeq, state.Epoch, state.Readers}
		}
		h.Windows[name] = WindowOf(f)
	}
	if r.opts.Presence != nil {
		status := r.opts.Presence()
		h.Presence = &status
	}
	return h
}

// add adds the result of a check.
func (h *Report) add(name string, err error) {
	if err == nil {
		h.Checks[name] = ok
		return
	}
	h.Checks[name] = err.Error()
	if _, serves := errors.AsType[degradedError](err); !serves {
		h.Status = unavailable
	} else if h.Status == ok {
		h.Status = degraded
	}
}

// Full is Report with its Detail. It blocks for twice Timeout at most.
func (r *Reporter) Full(ctx context.Context) Report {
	h := r.Report(ctx)
	d := &Detail{Version: r.opts.Version, Started: r.opts.Started, Engine: r.opts.Engine, Tails: map[string]Tail{}}
	for _, handler := range r.opts.Handlers {
		status := handler.Status()
		d.Connects += status.Connects
		d.Events += status.LiveEvents + status.MissedEvents
		d.Bytes += status.Bytes
	}
	budget := r.opts.Budget.Status()
	d.ReplayBytes = ReplayBytes{Used: budget.Used, Limit: budget.Limit, Waiting: budget.Waiting, Suspended: budget.Suspended}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	for name, f := range r.opts.Feeds {
		d.Tails[name] = TailOf(ctx, f)
	}
	h.Detail = d
	return h
}

// refused omits reasons that have not occurred.
func (r *Reporter) refused() map[string]uint64 {
	counts := map[string]uint64{}
	for reason, n := range r.opts.Admission.Refused() {
		if n > 0 {
			counts[reason.String()] = n
		}
	}
	if r.opts.IgnoredHeaders != nil {
		if n := r.opts.IgnoredHeaders(); n > 0 {
			counts["headers_ignored"] = n
		}
	}
	return counts
}

// WindowOf returns the window of a feed.
func WindowOf(f *feed.Feed) Window {
	s := f.Status()
	w := Window{
		First: s.Low + 1, Last: s.High, Events: s.Events, Bytes: s.Bytes,
		FromWindow: s.FromWindow, FromStore: s.FromStore, HitRatio: 1,
	}
	if all := s.FromWindow + s.FromStore; all > 0 {
		w.HitRatio = float64(s.FromWindow) / float64(all)
	}
	return w
}

// TailOf returns the tail of a feed. Where the stream's leader does not answer, it has the state of the node alone.
func TailOf(ctx context.Context, f *feed.Feed) Tail {
	state, err := f.State(ctx)
	status := f.Status()
	t := Tail{Position: feed.Position{Seq: status.High, Epoch: status.Epoch}.String(), Last: status.High, Resets: status.Losses}
	if err == nil {
		err = status.Lost
		t.Last = state.LastSeq
		t.Behind = max(state.LastSeq, status.High) - status.High
	}
	if err != nil {
		t.Lost = err.Error()
	}
	return t
}

// checkTail compares the tail with the stream at its leader. A tail that is behind has until
// ctx ends to catch up, because events may be stored at this moment. It returns the state at the leader, if
// that is known.
func checkTail(ctx context.Context, f *feed.Feed) (feed.State, error) {
	if err := f.Status().Lost; err != nil {
		return feed.State{}, err
	}
	state, err := f.State(ctx)
	if err != nil {
		return feed.State{}, err
	}
	for {
		status := f.Status()
		if status.Epoch == state.Epoch && status.High >= state.LastSeq {
			return state, nil
		}
		select {
		case <-ctx.Done():
			return state, fmt.Errorf("at %d of %d", status.High, state.LastSeq)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
