package jetstore

import (
	"fmt"
	"sync"
)

// maxDeletes bounds the deletes in flight, as the server drops its whole queue of API
// requests when it overflows.
const maxDeletes = 16

// deletes removes consumers in the background. Its workers come with the work and go when
// there is none.
type deletes struct {
	log   *Store
	group group

	mu      sync.Mutex
	queue   []string
	workers int
}

func newDeletes(l *Store) *deletes { return &deletes{log: l} }

// close waits until the queue is empty.
func (d *deletes) close() { d.group.close() }

// add queues a consumer's name. After close it does nothing: the server drops the consumer
// when it has been inactive for long enough.
func (d *deletes) add(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, name)
	if d.workers < maxDeletes && d.group.start(d.work) {
		d.workers++
	}
}

func (d *deletes) work() {
	for {
		name, ok := d.take()
		if !ok {
			return
		}
		d.delete(name)
	}
}

func (d *deletes) take() (name string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		d.workers--
		d.queue = nil
		return "", false
	}
	name = d.queue[0]
	d.queue = d.queue[1:]
	return name, true
}

const deleteAttempts = 3

func (d *deletes) delete(name string) {
	op := fmt.Sprintf("CONSUMER.DELETE.%s.%s", d.log.opts.Stream, name)
	for attempt := range deleteAttempts {
		if !d.awaitLink() {
			return
		}
		changed := d.log.link.changed()
		err := d.log.request(d.log.ctx, op, nil, &failure{})
		if err == nil || permanent(err) {
			return
		}
		if pause(d.log.ctx, backoff(attempt+2), changed) != nil {
			return
		}
	}
}

// awaitLink waits for the connection, and reports false when the log closes without one.
func (d *deletes) awaitLink() bool {
	for {
		changed := d.log.link.changed()
		switch {
		case d.log.nc.IsConnected():
			return true
		case d.log.link.err() != nil:
			return false
		}
		if pause(d.log.ctx, maxBackoff, changed) != nil {
			return false
		}
	}
}
