package loadtest

import (
	"context"
	"errors"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"sync"
	"time"
)

// RunWorker runs a part of the connections of a load test. The process of the run starts it as its
// Options.WorkerCommand; in and out are standard input and output, which carry JSON-RPC.
//
//   - It blocks until in ends, as when the other process has ended, or ctx ends; a read of in
//     may outlive it.
//   - Interrupts from the terminal should be ignored by the program: they reach all processes, and
//     the other one decides.
//   - It returns errors of in and ctx; it sends all others to the run.
func RunWorker(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	w := &worker{ctx: ctx, aborted: make(chan error, 1)}
	server := rpc.NewServer()
	if err := server.RegisterName("Worker", w); err != nil {
		return err
	}
	go func() {
		server.ServeCodec(jsonrpc.NewServerCodec(workerPipes{in, out, end}))
		end(errors.New("a request is not JSON-RPC"))
	}()
	<-ctx.Done()
	w.mu.Lock() // when the last call has returned
	defer w.mu.Unlock()
	if w.clients != nil {
		w.clients.close()
		w.clients = nil
	}
	if err := context.Cause(ctx); err != io.EOF {
		return err
	}
	return nil
}

// workerPipes reports the end of the input as soon as it is read: calls wait for it.
type workerPipes struct {
	io.Reader
	io.Writer
	end context.CancelCauseFunc
}

func (p workerPipes) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if err != nil {
		p.end(err)
	}
	return n, err
}

func (workerPipes) Close() error { return nil }

// worker serves the calls of [workers]. Its methods are those of [clients]; net/rpc needs exported
// names.
type worker struct {
	ctx     context.Context
	aborted chan error

	mu      sync.RWMutex // held for reading by a call
	clients *localClients
}

type none = struct{}

// StartRequest makes the clients of a worker.
type StartRequest struct {
	Options Options   `json:"options"`
	Part    Partition `json:"part"`
}

// SampleReply is the result of a sample.
type SampleReply struct {
	Connected int        `json:"connected"`
	Second    *histogram `json:"second"`
}

// ChurnRequest begins the churn.
type ChurnRequest struct {
	PerSecond float64       `json:"per_second"`
	Absence   time.Duration `json:"absence_ns"`
}

func (w *worker) with(call func(*localClients) error) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.clients == nil {
		return errors.New("a call before Start")
	}
	return call(w.clients)
}

func (w *worker) Start(req StartRequest, _ *none) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.clients != nil || req.Part.Of < 1 {
		return errors.New("Start needs a part, and is called once")
	}
	w.clients, err = newLocalClients(req.Options, req.Part, func(err error) {
		select {
		case w.aborted <- err:
		default: // an earlier one ends the run
		}
	})
	return err
}

// Aborted blocks until this worker cannot continue the run.
func (w *worker) Aborted(none, *none) error {
	select {
	case err := <-w.aborted:
		return err
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

func (w *worker) OpenAll(_ none, reply *Connects) error {
	return w.with(func(s *localClients) (err error) {
		*reply, err = s.openAll(w.ctx)
		return err
	})
}

func (w *worker) Sample(_ none, reply *SampleReply) error {
	return w.with(func(s *localClients) (err error) {
		reply.Second = &histogram{}
		reply.Connected, reply.Second.Histogram, err = s.sample(w.ctx)
		return err
	})
}

// SetTarget returns when the target is reached. The processes of a machine have one clock.
func (w *worker) SetTarget(numbers map[string]int, reached *time.Time) error {
	return w.with(func(s *localClients) error {
		select {
		case *reached = <-s.setTarget(w.ctx, numbers):
			return nil
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		}
	})
}

func (w *worker) DisconnectAll(none, *none) error {
	return w.with(func(s *localClients) error { return s.disconnectAll(w.ctx) })
}

func (w *worker) ReconnectAll(none, *none) error {
	return w.with(func(s *localClients) error { return s.reconnectAll(w.ctx) })
}

func (w *worker) StartChurn(req ChurnRequest, _ *none) error {
	return w.with(func(s *localClients) error { return s.startChurn(w.ctx, req.PerSecond, req.Absence) })
}

func (w *worker) RestoreAll(none, *none) error {
	return w.with(func(s *localClients) error { return s.restoreAll(w.ctx) })
}

func (w *worker) Finish(published map[string]int, reply *ClientsResult) error {
	return w.with(func(s *localClients) (err error) {
		*reply, err = s.finish(w.ctx, published)
		return err
	})
}
