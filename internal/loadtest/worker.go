package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// RunWorker has a part of the connections of a run that another process makes, the one that
// started this one as its Options.WorkerCommand says: in and out are standard input and output.
// It blocks until in ends, which it does when the other process is gone, or ctx ends; a read of
// in may outlive it. Interrupts from the terminal should be ignored by the program, as they
// reach all processes and the other one decides. An error is of in or ctx; others are told to
// the run.
func RunWorker(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	requests := make(chan request)
	go func() { end(readRequests(ctx, in, requests)) }()
	w := &worker{out: json.NewEncoder(out)}
	w.serve(ctx, requests)
	if err := context.Cause(ctx); err != io.EOF {
		return err
	}
	return nil
}

func readRequests(ctx context.Context, in io.Reader, to chan<- request) error {
	lines := json.NewDecoder(in)
	for {
		var req request
		if err := lines.Decode(&req); err != nil {
			return err
		}
		select {
		case to <- req:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// worker is the clients of this process, and what is asked of them.
type worker struct {
	clients *localClients // nil before the start

	mu  sync.Mutex
	out *json.Encoder
}

// serve answers requests until ctx ends. Each is answered by a goroutine of its own.
func (w *worker) serve(ctx context.Context, requests <-chan request) {
	var answering sync.WaitGroup
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case req := <-requests:
			if req.Do == toStart {
				w.send(req.ID, answer{}, w.start(req))
				continue
			}
			answering.Go(func() {
				a, err := w.answer(ctx, req)
				w.send(req.ID, a, err)
			})
		}
	}
	answering.Wait()
	if w.clients != nil {
		w.clients.close()
	}
}

func (w *worker) start(req request) (err error) {
	if w.clients != nil || req.Options == nil || req.Share.Of < 1 {
		return errors.New("a worker is started once, with options and a share")
	}
	w.clients, err = newLocalClients(*req.Options, req.Share, func(err error) { w.send(0, answer{}, err) })
	return err
}

// send writes an answer. That it cannot be written says what the end of the requests says too:
// nobody waits for it any more.
func (w *worker) send(id int, a answer, err error) {
	a.ID = id
	if err != nil {
		a.Error = err.Error()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.out.Encode(a)
}

func (w *worker) answer(ctx context.Context, req request) (a answer, err error) {
	s := w.clients
	if s == nil {
		return a, fmt.Errorf("%q was asked for before the start", req.Do)
	}
	switch req.Do {
	case toOpenAll:
		a.Connects, err = s.openAll(ctx)
	case toSample:
		a.Second = &histogram{}
		a.Connected, a.Second.Histogram, err = s.sample(ctx)
	case toAim:
		select {
		case a.Level = <-s.setTarget(ctx, req.Numbers):
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	case toCutAll:
		err = s.disconnectAll(ctx)
	case toReturnAll:
		err = s.reconnectAll(ctx)
	case toChurn:
		err = s.startChurn(ctx, req.PerSecond, req.Absence)
	case toEverybodyBack:
		err = s.restoreAll(ctx)
	case toFinish:
		a.Harvest = &clientsResult{}
		*a.Harvest, err = s.finish(ctx, req.Numbers)
	default:
		err = fmt.Errorf("nobody knows how to %q", req.Do)
	}
	return a, err
}
