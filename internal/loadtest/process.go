package loadtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os/exec"
	"sync"
	"time"
)

// process is a worker's process, seen from the run.
type process struct {
	part    Partition
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	stderr  tailBuffer
	rpc     *rpc.Client
	ended   chan struct{} // closed when the process is gone
	exitErr error         // set before
}

// exitTimeout is how long a worker has to close its connections.
const exitTimeout = 10 * time.Second

// startProcess starts a worker and makes its clients. It calls abort when the process ends before
// close, and when the worker cannot continue.
func startProcess(ctx context.Context, opts Options, part Partition, abort func(error)) (*process, error) {
	command := opts.WorkerCommand
	p := &process{part: part, cmd: exec.Command(command[0], command[1:]...), ended: make(chan struct{})} // without ctx: close ends it
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = time.Second // for a child of it that keeps standard error open
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	codec := &processCodec{jsonrpc.NewClientCodec(struct {
		io.Reader
		io.WriteCloser
	}{stdout, p.stdin}), make(chan error, 1)}
	p.rpc = rpc.NewClientWithCodec(codec)
	go func() {
		p.exitErr = p.named(p.wait(<-codec.outputEnded))
		close(p.ended)
		abort(p.exitErr)
	}()
	go func() {
		if err, aborted := errors.AsType[rpc.ServerError](p.rpc.Call("Worker.Aborted", none{}, &none{})); aborted {
			abort(p.named(err))
		}
	}()
	if _, err = call[none](ctx, p, answerTimeout, "Start", StartRequest{opts, part}); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// processCodec reports the end of the worker's output, and text that is not a response.
type processCodec struct {
	rpc.ClientCodec
	outputEnded chan error
}

func (c *processCodec) ReadResponseHeader(r *rpc.Response) error {
	err := c.ClientCodec.ReadResponseHeader(r)
	if err != nil {
		c.outputEnded <- err
	}
	return err
}

// named adds the worker to an error.
func (p *process) named(err error) error {
	return fmt.Errorf("worker %d of %d (pid %d): %w", p.part.Index+1, p.part.Of, p.cmd.Process.Pid, err)
}

// wait waits for a process whose output has ended and describes its end. A process whose output is
// not a worker's is killed.
func (p *process) wait(err error) error {
	if err != io.EOF {
		_ = p.cmd.Process.Kill() // fails when it has ended already
	}
	_ = p.cmd.Wait() // ProcessState has the result
	text := "it ended (" + p.cmd.ProcessState.String() + ")"
	if err != io.EOF {
		text += ", because its output is not JSON-RPC (" + err.Error() + ")"
	}
	if output := p.stderr.String(); output != "" {
		text += ": " + output
	}
	return errors.New(text)
}

// call calls a method of a worker and blocks until its reply, the end of ctx, or the timeout. A timeout of 0 does
// not end.
func call[R any](ctx context.Context, p *process, timeout time.Duration, method string, args any) (reply R, err error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, p.named(fmt.Errorf("no reply to %s within %v", method, timeout)))
		defer cancel()
	}
	received := new(R)
	done := make(chan error, 1)
	go func() { done <- p.rpc.Call("Worker."+method, args, received) }() // blocks while the process does not read
	select {
	case err = <-done:
	case <-ctx.Done():
		return reply, context.Cause(ctx)
	}
	if err == nil {
		return *received, nil
	}
	if failed, ok := errors.AsType[rpc.ServerError](err); ok {
		return reply, p.named(failed)
	}
	select {
	case <-p.ended:
		return reply, p.exitErr
	case <-ctx.Done():
		return reply, context.Cause(ctx)
	}
}

// close ends the worker and waits for it.
func (p *process) close() {
	_ = p.stdin.Close() // fails when the process has ended
	defer time.AfterFunc(exitTimeout, func() { _ = p.cmd.Process.Kill() }).Stop()
	<-p.ended
}

// tailBuffer keeps the last output of a process for error messages.
type tailBuffer struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 4 << 10

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	if extra := len(b.text) - tailSize; extra > 0 {
		b.text = bytes.Clone(b.text[extra:])
	}
	return len(p), nil
}

func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}
