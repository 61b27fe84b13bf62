package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// pipe sends the event stream of a model to a node.
type pipe struct{ node, model string }

// retryPause is the time between two attempts to reach the node.
const retryPause = 500 * time.Millisecond

// run stores the answer of the model at a subject. It returns when the subject is complete.
//
// The model cannot repeat its answer. So run keeps it, and sends all of it again after the loss of the node. With
// the same Idempotency-Key, the node stores only the events that are not stored yet.
func (p pipe) run(ctx context.Context, subject, key string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.model, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := newRecording()
	go func() {
		_, err := io.Copy(answer, resp.Body)
		answer.end(err)
	}()
	for {
		final, err := p.publish(ctx, subject, key, answer.reader())
		if err == nil || final {
			return err
		}
		if lost := answer.failure(); lost != nil {
			return fmt.Errorf("the model broke off, and the subject stays open: %w", lost)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryPause):
		}
	}
}

// publish makes one attempt. final reports that another one would have the same result.
func (p pipe) publish(ctx context.Context, subject, key string, body io.Reader) (final bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.node+"/publish/"+subject, body) //nolint:gosec // the operator names the node
	if err != nil {
		return true, err
	}
	req.Header.Set("Content-Type", "text/event-stream")
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req) //nolint:gosec // as above
	if err != nil {
		return false, err // the node is not reachable, or was lost
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return true, nil
	}
	problem, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	return resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests, fmt.Errorf("%s: %s", resp.Status, problem)
}

// recording keeps all data that is written to it. Each of its readers reads all of it, and waits for more until the end.
type recording struct {
	mu   sync.Mutex
	more *sync.Cond
	data []byte
	err  error // of readers at the end; nil before
}

func newRecording() *recording {
	r := &recording{}
	r.more = sync.NewCond(&r.mu)
	return r
}

func (r *recording) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.data = append(r.data, p...)
	r.more.Broadcast()
	return len(p), nil
}

// end ends the recording. Readers return io.EOF if the error is nil.
func (r *recording) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err = err; err == nil {
		r.err = io.EOF
	}
	r.more.Broadcast()
}

// failure returns the error of a recording that ended with an error.
func (r *recording) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == io.EOF {
		return nil
	}
	return r.err
}

func (r *recording) reader() io.Reader { return &replay{recording: r} }

type replay struct {
	*recording
	offset int
}

func (r *replay) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.offset == len(r.data) {
		if r.err != nil {
			return 0, r.err
		}
		r.more.Wait()
	}
	n := copy(p, r.data[r.offset:])
	r.offset += n
	return n, nil
}
