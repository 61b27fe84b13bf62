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
	// writeTimeout bounds the wait for one acknowledgement.
	writeTimeout = 5 * time.Second
	// leaveTimeout bounds taking away what a node wrote.
	leaveTimeout = 2 * time.Second
)

// writer is what the writing goroutine knows.
type writer struct {
	encoder
	bucket     *bucket // nil until it is found
	stale      bool    // it must be looked for again
	written    [Shards]written
	nodeWritten       time.Time // when this node's own value was written; zero for never
	writtenCount    int       // what it said
	lastRevision       uint64    // revision
	generation      int       // how often nothing was taken for written
	reconnects uint64
	staleFound      bool // what an earlier node of this name has left is known
	lastError       string
}

// written is what the bucket has of a shard.
type written struct {
	parts int       // there may be so many
	at    time.Time // zero when it is not what the shard was when it was last looked at
}

// write keeps the bucket up to date until ctx ends.
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

// round writes what has changed, and what would be too old before long.
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

// lost makes the next round look for the bucket again.
func (p *Presence) markStale(err error) error {
	p.writer.stale = true
	return err
}

// ready finds the bucket at first, after an error, and after each loss of the connection: a
// server that was restarted has a bucket in memory no longer.
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

// rewrite takes nothing for written.
func (p *Presence) invalidate() {
	p.writer.generation++
	p.writer.nodeWritten = time.Time{}
	for i := range p.writer.written {
		p.writer.written[i].at = time.Time{}
	}
}

// sweep finds what an earlier node of the same name has left: it is overwritten, or purged
// like what this one wrote.
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
	have.at = time.Time{} // until all of it is there
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
	if begun == w.generation { // else a part of it may be in a bucket that is no more
		have.at = time.Now()
	}
	return bytes, nil
}

// take copies what a shard holds, if it is to be written: looking at a connection may take a
// moment, and nobody who comes or goes shall wait for it.
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

// put stores a value. A revision that is lower than the one before is that of another bucket
// of the same name, which has nothing of ours yet.
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

// leave takes away what this node has written. What it cannot take away vanishes with the
// bucket's lifetime.
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
		p.opts.Logger.Warn("this node's presence is left to its lifetime", "error", err)
	}
}

// tell logs an error once, not each second of a long outage.
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
		p.opts.Logger.Warn("who is connected here cannot be told to the others", "error", err)
		w.lastError = text
	case err == nil && w.lastError != "":
		p.opts.Logger.Info("who is connected here is told to the others again")
		w.lastError = ""
	}
}
