package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

// process is a worker as the run sees it that started it.
type process struct {
	part    partition
	cmd      *exec.Cmd
	stdin    io.WriteCloser
	stderr   tailBuffer
	requests chan request  // to the goroutine that writes them
	ended    chan struct{} // closed when the process is gone
	writing  sync.WaitGroup

	mu      sync.Mutex
	asked   int
	waiting map[int]chan<- answer // for the answer to a request
}

// startProcess starts a worker. That it ends before close is told to giveUp, and what it gives
// up itself.
func startProcess(command []string, sh partition, giveUp func(error)) (*process, error) {
	p := &process{
		part: sh, cmd: exec.Command(command[0], command[1:]...), // not of a context: its end is waited for
		requests: make(chan request), ended: make(chan struct{}), waiting: map[int]chan<- answer{},
	}
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = time.Second // for a process of its own that keeps its standard error open
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	p.stdin = stdin
	p.writing.Go(p.write)
	go p.read(stdout, giveUp)
	return p, nil
}

// failed says which worker an error comes from.
func (p *process) failed(err error) error {
	return fmt.Errorf("worker %d of %d (pid %d): %w", p.part.Index+1, p.part.Of, p.cmd.Process.Pid, err)
}

// write hands on requests, so that a process which does not read holds nobody up who has a
// context.
func (p *process) write() {
	lines := json.NewEncoder(p.stdin)
	for {
		select {
		case req := <-p.requests:
			if lines.Encode(req) != nil {
				return // which read tells of
			}
		case <-p.ended:
			return
		}
	}
}

func (p *process) read(stdout io.Reader, giveUp func(error)) {
	defer close(p.ended)
	lines := json.NewDecoder(stdout)
	for {
		var a answer
		if err := lines.Decode(&a); err != nil {
			giveUp(p.failed(p.wait(err)))
			return
		}
		if a.ID == 0 {
			giveUp(p.failed(errors.New(a.Error)))
			continue
		}
		p.mu.Lock()
		to := p.waiting[a.ID]
		delete(p.waiting, a.ID)
		p.mu.Unlock()
		if to != nil {
			to <- a
		}
	}
}

// wait ends a process whose output has ended, or is none of a worker's, and says how it went.
func (p *process) wait(err error) error {
	if err != io.EOF {
		_ = p.cmd.Process.Kill() // fails when it has ended already
	}
	_ = p.cmd.Wait() // its state says as much
	text := "it ended (" + p.cmd.ProcessState.String() + ")"
	if err != io.EOF {
		text += ", as what it wrote is no answer (" + err.Error() + ")"
	}
	if said := p.stderr.String(); said != "" {
		text += ": " + said
	}
	return errors.New(text)
}

// call blocks until a request is answered, or ctx ends; within is how long that may take, and 0
// is no bound.
func (p *process) call(ctx context.Context, within time.Duration, req request) (answer, error) {
	if within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, within, p.failed(fmt.Errorf("no answer to %q within %v", req.Do, within)))
		defer cancel()
	}
	to := make(chan answer, 1)
	p.mu.Lock()
	p.asked++
	req.ID = p.asked
	p.waiting[req.ID] = to
	p.mu.Unlock()
	select {
	case p.requests <- req:
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	}
	select {
	case a := <-to:
		if a.Error != "" {
			return a, p.failed(errors.New(a.Error))
		}
		return a, nil
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	}
}

// endTimeout is how long a worker has to end its connections.
const exitTimeout = 10 * time.Second

// close lets the worker end, and waits for it.
func (p *process) close() {
	_ = p.stdin.Close() // fails when the process has ended
	defer time.AfterFunc(exitTimeout, func() { _ = p.cmd.Process.Kill() }).Stop()
	<-p.ended
	p.writing.Wait()
}
