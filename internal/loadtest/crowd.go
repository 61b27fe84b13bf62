package loadtest

import (
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"encoding/hex"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// crowd is the clients of a run. What ends the run is told by giveUp, which ends the contexts
// that its methods take; those return with the cause.
type clients interface {
	// pids are the processes that have the clients, beside this one.
	pids() []int
	// openAll makes the clients, opens them, and blocks until all have their stream.
	openAll(ctx context.Context) (Connects, error)
	// sample takes what came since the last one.
	sample(ctx context.Context) (connected int, second *hdrhistogram.Histogram, err error)
	// aim tells when the last client has received all these numbers, unless ctx ends or
	// another aim is set before.
	setTarget(ctx context.Context, numbers map[string]int) (level <-chan time.Time)
	// cutAll ends every connection, and blocks until all are gone.
	disconnectAll(ctx context.Context) error
	// returnAll lets all clients come back at once.
	reconnectAll(ctx context.Context) error
	// churn begins to trouble clients, so many a second.
	startChurn(ctx context.Context, perSecond float64, absence time.Duration) error
	// everybodyBack ends all trouble.
	restoreAll(ctx context.Context) error
	// finish ends all connections and compares what came with what was published.
	finish(ctx context.Context, published map[string]int) (clientsResult, error)
	// close ends what is left, and waits for it. It may follow finish.
	close()
}

// share is the part of a run's clients that one process has: every Of-th, from Index on. So a
// client has the same index and key however many processes there are.
type partition struct {
	Run   string `json:"run"` // tells this run's events from others
	Index int    `json:"index"`
	Of    int    `json:"of"`
}

func newClients(ctx context.Context, opts Options, run string, giveUp func(error)) (clients, error) {
	if opts.Workers > 1 {
		return startWorkers(ctx, opts, run, giveUp)
	}
	return newLocalClients(opts, partition{Run: run, Of: 1}, giveUp)
}

// newRun names a run.
func newRunID() string {
	id := make([]byte, 4)
	_, _ = cryptorand.Read(id) // never fails
	return hex.EncodeToString(id)
}

// harvest is what a crowd ends with.
type clientsResult struct {
	Verdict    Verdict     `json:"verdict"` // its sentences are Violations
	Violations []violation `json:"violations,omitempty"`
	Reconnects int         `json:"reconnects"`
	Bytes      int64       `json:"bytes"`
	Latency    *histogram  `json:"latency"`
	First      int64       `json:"first_ns"` // receipt, in Unix time; 0 when there is none
	Last       int64       `json:"last_ns"`
}

// violation is what one client found wrong.
type violation struct {
	Client int    `json:"client"`
	Text   string `json:"text"`
}

// maxSentences bounds the violations that a verdict tells in words.
const maxViolations = 10

// add takes the harvest of other clients. The first violations are those of the first
// clients, however many processes had them.
func (h *clientsResult) add(o clientsResult) {
	h.Verdict.add(o.Verdict)
	h.Violations = append(h.Violations, o.Violations...)
	slices.SortFunc(h.Violations, func(a, b violation) int { return cmp.Compare(a.Client, b.Client) })
	h.Violations = h.Violations[:min(len(h.Violations), maxViolations)]
	h.Reconnects += o.Reconnects
	h.Bytes += o.Bytes
	h.Latency.Merge(o.Latency.Histogram)
	h.received(o.First, o.Last)
}

// received takes when other clients received their first and last event.
func (h *clientsResult) received(first, last int64) {
	if first > 0 && (h.First == 0 || first < h.First) {
		h.First = first
	}
	h.Last = max(h.Last, last)
}

// verdict tells the violations as sentences.
func (h *clientsResult) sentences() Verdict {
	v := h.Verdict
	for _, one := range h.Violations {
		v.First = append(v.First, one.Text)
	}
	return v
}
