package feedtest

import (
	"context"
	"io"
	"slices"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/subject"
)

// Read implements feed.Store.
func (l *MemStore) Read(ctx context.Context, opts feed.ReadOptions) (feed.Reader, error) {
	if err := l.reachStream(ctx); err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	r := &memReader{store: l, opts: opts, next: opts.From, failed: l.failed}
	if opts.LastPerSubject {
		r.only = l.latestLocked(opts)
	}
	for _, ev := range l.events {
		if r.wants(ev) {
			r.pending++
		}
	}
	l.readers++
	return r, nil
}

func (l *MemStore) latestLocked(opts feed.ReadOptions) map[uint64]bool {
	latest := map[string]uint64{}
	for _, ev := range l.events {
		if ev.Seq <= opts.To {
			latest[ev.Subject] = ev.Seq
		}
	}
	only := map[uint64]bool{}
	for _, seq := range latest {
		only[seq] = true
	}
	return only
}

type memReader struct {
	store   *MemStore
	opts    feed.ReadOptions
	next    uint64
	only    map[uint64]bool
	pending uint64
	failed  int  // MemStore.failed when it was opened
	bytes   int  // of a batch; 0 for any number
	alone   bool // the next event is larger
	closed  bool
}

func (r *memReader) wants(ev feed.Event) bool {
	return ev.Seq >= r.next && ev.Seq <= r.opts.To && (r.only == nil || r.only[ev.Seq]) &&
		(len(r.opts.Filters) == 0 || slices.ContainsFunc(r.opts.Filters, func(f string) bool { return subject.Matches(f, ev.Subject) }))
}

func (r *memReader) Pending() uint64 { return r.pending }

// Request implements feed.Reader. Nothing is read ahead in memory.
func (r *memReader) Request(bytes int) bool {
	r.bytes = bytes
	return true
}

func (r *memReader) Next(ctx context.Context) (feed.Batch, error) {
	if err := r.store.reachStream(ctx); err != nil {
		return feed.Batch{}, err
	}
	defer r.store.mu.Unlock()
	if r.failed != r.store.failed {
		return feed.Batch{}, errReplay
	}
	limit := r.store.ReadBatch
	if limit == 0 {
		limit = 3
	}
	batch := feed.Batch{State: r.store.stateLocked()}
	room := r.bytes
	for _, ev := range r.store.events {
		if !r.wants(ev) {
			continue
		}
		if r.opts.HeadersOnly {
			ev.Data = nil
		}
		room -= len(ev.Data)
		if r.bytes > 0 && room < 0 && !r.alone || len(batch.Events) == limit {
			break
		}
		batch.Events = append(batch.Events, ev)
		if r.alone {
			break
		}
	}
	if r.alone = len(batch.Events) == 0 && room < 0; r.alone {
		return feed.Batch{}, &feed.LargeEventError{Bytes: r.bytes - room}
	}
	if len(batch.Events) == 0 {
		return batch, io.EOF
	}
	r.next = batch.Events[len(batch.Events)-1].Seq + 1
	return batch, nil
}

func (r *memReader) Close() {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.store.readers--
	}
}
