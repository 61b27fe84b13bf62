package loadtest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// clients are the clients of a run. An error that ends the run is passed to the abort function of
// their constructor, which ends the contexts of these methods; they return its cause.
type clients interface {
	// pids returns the processes of the clients, without this one.
	pids() []int
	// openAll creates and connects the clients, and blocks until all have a response.
	openAll(ctx context.Context) (Connects, error)
	// sample returns the latencies that were recorded since the last call.
	sample(ctx context.Context) (connected int, second *hdrhistogram.Histogram, err error)
	// setTarget returns a channel that receives the time at which the last client had all these
	// numbers, unless ctx ends or another target is set before.
	setTarget(ctx context.Context, numbers map[string]int) (reached <-chan time.Time)
	// disconnectAll resets every connection, and blocks until all are gone.
	disconnectAll(ctx context.Context) error
	// reconnectAll starts the reconnects of all clients at once.
	reconnectAll(ctx context.Context) error
	// startChurn begins to disrupt clients at a rate.
	startChurn(ctx context.Context, perSecond float64, absence time.Duration) error
	// restoreAll stops the churn and reconnects all clients.
	restoreAll(ctx context.Context) error
	// finish closes all connections and compares the received events with the published ones.
	finish(ctx context.Context, published map[string]int) (ClientsResult, error)
	// close ends the remaining connections and blocks until they have ended. It may follow finish.
	close()
}

func newClients(ctx context.Context, opts Options, run string, abort func(error)) (clients, error) {
	if opts.Workers > 1 {
		return startWorkers(ctx, opts, run, abort)
	}
	return newLocalClients(opts, Partition{Run: run, Of: 1}, abort)
}

// Partition is the part of a run's clients in one process: every Of-th, from Index on. So a client has the same
// index and key with any number of processes.
type Partition struct {
	Run   string `json:"run"` // marks the events of this run
	Index int    `json:"index"`
	Of    int    `json:"of"`
}

// ClientsResult has the counts of received events.
type ClientsResult struct {
	Verdict    Verdict     `json:"verdict"` // its sentences are Violations
	Violations []violation `json:"violations,omitempty"`
	Reconnects int         `json:"reconnects"`
	// FullHandshakes and ResumedHandshakes are those of TLS, also of reconnects.
	FullHandshakes    int        `json:"full_handshakes"`
	ResumedHandshakes int        `json:"resumed_handshakes"`
	Bytes             int64      `json:"bytes"`
	Latency           *histogram `json:"latency"`
	First             int64      `json:"first_ns"` // receipt, in Unix time; 0 when there is none
	Last              int64      `json:"last_ns"`
}

// violation is a sentence about one client.
type violation struct {
	Client int    `json:"client"`
	Text   string `json:"text"`
}

// maxViolations bounds the sentences of a verdict.
const maxViolations = 10

// add merges the result of other clients. The first violations are those of the first clients,
// with any number of processes.
func (r *ClientsResult) add(o ClientsResult) {
	r.Verdict.add(o.Verdict)
	r.Violations = append(r.Violations, o.Violations...)
	slices.SortFunc(r.Violations, func(a, b violation) int { return cmp.Compare(a.Client, b.Client) })
	r.Violations = r.Violations[:min(len(r.Violations), maxViolations)]
	r.Reconnects += o.Reconnects
	r.FullHandshakes += o.FullHandshakes
	r.ResumedHandshakes += o.ResumedHandshakes
	r.Bytes += o.Bytes
	r.Latency.Merge(o.Latency.Histogram)
	r.addReceipts(o.First, o.Last)
}

// addReceipts merges the times of a first and a last receipt.
func (r *ClientsResult) addReceipts(first, last int64) {
	if first > 0 && (r.First == 0 || first < r.First) {
		r.First = first
	}
	r.Last = max(r.Last, last)
}

// fullVerdict returns the verdict with its sentences.
func (r *ClientsResult) fullVerdict() Verdict {
	v := r.Verdict
	for _, one := range r.Violations {
		v.First = append(v.First, one.Text)
	}
	return v
}
