package jetstore

import (
	"fmt"
	"sync"

	"github.com/tidemark/tidemark/internal/backoff"
	"github.com/tidemark/tidemark/internal/jsapi"
)

// maxDeletes bounds the deletes in flight, as the server drops its whole queue of API
// requests when it overflows.
const maxDeletes = 16

// consumerDeleter deletes consumers in the background. It starts workers for queued names, and they end
// when the queue is empty.
type consumerDeleter struct {
	leader *leader
	group  group

	mu      sync.Mutex
	queue   []string
	workers int
}

// close waits until the queue is empty.
func (d *consumerDeleter) close() { d.group.close() }

// add queues a consumer's name. After close it does nothing: the server deletes the consumer
// when it has been inactive for long enough.
func (d *consumerDeleter) add(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queue = append(d.queue, name)
	if d.workers < maxDeletes && d.group.start(d.deleteQueued) {
		d.workers++
	}
}

func (d *consumerDeleter) deleteQueued() {
	for {
		name, ok := d.dequeue()
		if !ok {
			return
		}
		d.delete(name)
	}
}

func (d *consumerDeleter) dequeue() (name string, ok bool) {
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

func (d *consumerDeleter) delete(name string) {
	op := fmt.Sprintf("CONSUMER.DELETE.%s.%s", d.leader.stream, name)
	for attempt := range deleteAttempts {
		if !d.awaitConnected() {
			return
		}
		changed := d.leader.api.Watcher.Changed()
		err := d.leader.api.Request(d.leader.ctx, op, nil, &jsapi.Failure{})
		if err == nil || permanent(err) {
			return
		}
		if backoff.Pause(d.leader.ctx, backoff.Delay(attempt+2), changed) != nil {
			return
		}
	}
}

// awaitConnected waits for the connection, and reports false when the Store is closed without one.
func (d *consumerDeleter) awaitConnected() bool {
	api := d.leader.api
	for {
		changed := api.Watcher.Changed()
		switch {
		case api.Conn.IsConnected():
			return true
		case api.Watcher.Err() != nil:
			return false
		}
		if backoff.Pause(d.leader.ctx, backoff.Max, changed) != nil {
			return false
		}
	}
}
