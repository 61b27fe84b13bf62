package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// writeTimeout limits the wait for one acknowledgement.
	writeTimeout = 5 * time.Second
	// leaveTimeout limits the removal of a node's entries.
	leaveTimeout = 2 * time.Second
)

// writer is the state of the writing goroutine.
type writer struct {
	encoder
	bucket       *bucket // nil until it is found
	stale        bool    // it must be opened again
	written      [Shards]written
	nodeWritten  time.Time // when the node entry was written; zero for never
	writtenCount int       // in the node entry
	lastRevision uint64    // revision
	generation   int       // number of calls of invalidate
	reconnects   uint64
	staleFound   bool // findStale has succeeded
	lastError    string
}

// written is the stored state of a shard.
type written struct {
	parts int       // upper bound of the stored parts
	at    time.Time // of the last complete write; zero if the stored parts are outdated
}

// write updates the bucket until ctx ends.
func (p *Presence) write(ctx context.Context) {
	defer p.removeOwn()
	for {
		bytes, err := p.round(ctx)
		p.reportError(ctx, err)
		pause := max(p.opts.Interval, time.Duration(bytes)*time.Second/time.Duration(p.opts.BytesPerSecond))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// round writes changed shards, and refreshes old values.
func (p *Presence) round(ctx context.Context) (bytes int, err error) {
	if err := p.ensureBucket(ctx); err != nil {
		return 0, err
	}
	for i := range p.shards {
		n, err := p.writeShard(ctx, i)
		bytes += n
		if err != nil {
			return bytes, p.markStale(err)
		}
	}
	n, err := p.writeNode(ctx)
	if err != nil {
		return bytes, p.markStale(err)
	}
	return bytes + n, nil
}

// markStale makes the next round open the bucket again.
func (p *Presence) markStale(err error) error {
	p.writer.stale = true
	return err
}

// ensureBucket opens the bucket at the start, after an error, and after each reconnect: a restarted server
// has lost a bucket in memory.
func (p *Presence) ensureBucket(ctx context.Context) error {
	w := &p.writer
	if n := p.nc.Stats().Reconnects; n != w.reconnects {
		w.reconnects, w.stale = n, true
	}
	if w.bucket != nil && !w.stale {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	found, err := p.openBucket(ctx)
	if err != nil {
		return err
	}
	if !w.staleFound {
		if err := p.findStale(ctx); err != nil {
			return err
		}
		w.staleFound = true
	}
	w.bucket, w.stale = found, false
	w.limit = min(partBytes, max(int(p.nc.MaxPayload())-(4<<10), 1<<10))
	p.invalidate()
	return nil
}

// invalidate marks all values as outdated, so that they are written again.
func (p *Presence) invalidate() {
	p.writer.generation++
	p.writer.nodeWritten = time.Time{}
	for i := range p.writer.written {
		p.writer.written[i].at = time.Time{}
	}
}

// findStale finds the entries of an earlier node of the same name. They are overwritten or purged like
// those of this node.
func (p *Presence) findStale(ctx context.Context) error {
	return p.read(ctx, p.opts.Node+".*.*", func(key string, _ []byte) error {
		parts := strings.Split(key, ".")
		shard, err := strconv.Atoi(parts[1])
		part, err2 := strconv.Atoi(parts[2])
		if err == nil && err2 == nil && shard < Shards && part < 1000 {
			p.writer.written[shard].parts = max(p.writer.written[shard].parts, part+1)
		}
		return nil
	})
}

func (p *Presence) writeShard(ctx context.Context, i int) (bytes int, err error) {
	w, have := &p.writer, &p.writer.written[i]
	list, due := p.snapshotShard(i)
	if !due {
		return 0, nil
	}
	defer clear(list)
	have.at = time.Time{} // until the write is complete
	before, begun := have.parts, w.generation
	parts, err := w.parts(list, func(part int, value []byte) error {
		have.parts = max(have.parts, part+1)
		bytes += len(value)
		return p.put(ctx, shardKey(p.opts.Node, i, part), value)
	})
	for part := parts; err == nil && part < before; part++ {
		err = p.purge(ctx, shardKey(p.opts.Node, i, part))
	}
	if err != nil {
		return bytes, err
	}
	have.parts = parts
	if begun == w.generation { // otherwise a part may be in a deleted bucket
		have.at = time.Now()
	}
	return bytes, nil
}

// snapshotShard copies the connections of a shard if it must be written. The writer then reads their
// positions without the lock, so that connects and disconnects do not wait.
func (p *Presence) snapshotShard(i int) (list []Source, due bool) {
	s, have := &p.shards[i], p.writer.written[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.changed && !have.at.IsZero() && (len(s.open) == 0 || time.Since(have.at) < p.writer.bucket.refresh) {
		return nil, false
	}
	s.changed = false
	p.writer.list = slices.AppendSeq(p.writer.list[:0], maps.Keys(s.open))
	return p.writer.list, true
}

func (p *Presence) writeNode(ctx context.Context) (int, error) {
	w, n := &p.writer, int(p.count.Load())
	if n == w.writtenCount && !w.nodeWritten.IsZero() && time.Since(w.nodeWritten) < w.bucket.refresh {
		return 0, nil
	}
	text, err := json.Marshal(Node{Name: p.opts.Node, Connections: n, Started: p.started.UTC().Truncate(time.Millisecond)})
	if err == nil {
		err = p.put(ctx, nodeKey(p.opts.Node), text)
	}
	if err != nil {
		return 0, err
	}
	w.nodeWritten, w.writtenCount = time.Now(), n
	return len(text), nil
}

// put stores a value. A revision lower than the previous one means that the bucket was replaced by a new
// one, which does not contain the entries of this node.
func (p *Presence) put(ctx context.Context, key string, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	revision, err := p.writer.bucket.Put(ctx, key, value)
	if err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	if revision < p.writer.lastRevision {
		p.invalidate()
	}
	p.writer.lastRevision = revision
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.Writes++
	p.status.Bytes += uint64(len(value))
	return nil
}

func (p *Presence) purge(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := p.writer.bucket.Purge(ctx, key); err != nil {
		return fmt.Errorf("purge %s: %w", key, err)
	}
	return nil
}

// removeOwn removes the entries of this node. After an error they expire with the bucket's lifetime.
func (p *Presence) removeOwn() {
	w := &p.writer
	if w.bucket == nil || !p.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	err := p.purge(ctx, nodeKey(p.opts.Node))
	for i := range w.written {
		for part := 0; err == nil && part < w.written[i].parts; part++ {
			err = p.purge(ctx, shardKey(p.opts.Node, i, part))
		}
	}
	if err != nil {
		p.opts.Logger.Warn("presence: removal failed; entries of this node expire with the bucket's lifetime", "error", err)
	}
}

// reportError logs the first error of an outage, and its end.
func (p *Presence) reportError(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	p.mu.Lock()
	p.status.Error = text
	p.mu.Unlock()
	switch w := &p.writer; {
	case err != nil && w.lastError == "":
		p.opts.Logger.Warn("presence: update failed; other nodes see stale entries", "error", err)
		w.lastError = text
	case err == nil && w.lastError != "":
		p.opts.Logger.Info("presence: update succeeded again")
		w.lastError = ""
	}
}
