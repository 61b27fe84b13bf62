package testcluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Process is a program with fixed arguments, ports and files. It can be ended and started again. Its
// methods are safe for concurrent use.
type Process struct {
	name string
	path string
	args []string
	env  []string
	dir  string
	log  string
	// workers means that the process has children, which must end with it.
	workers bool
	died    func(p *Process, status string)
	logger  *slog.Logger

	mu     sync.Mutex
	life   *life // nil before the first start
	closed bool
	owners sync.WaitGroup
}

// life is the time from a start of a process to its end.
type life struct {
	cmd   *exec.Cmd
	done  chan struct{} // closed at the end of the process
	asked bool          // its end was requested
}

func (l *life) running() bool {
	if l == nil {
		return false
	}
	select {
	case <-l.done:
		return false
	default:
		return true
	}
}

var errStopped = errors.New("the topology has been stopped")

// Name returns n1, n2, ... for a NATS server, t1, t2, ... for a node, and nginx.
func (p *Process) Name() string { return p.name }

// LogFile returns the file with the standard output and error of the process, of all its lives.
func (p *Process) LogFile() string { return p.log }

// Start starts the process unless it is running. It does not wait until the process is ready.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("start %s: %w", p.name, errStopped)
	}
	if p.life.running() {
		return nil
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close() // the process has its own descriptor
	cmd := exec.Command(p.path, p.args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = append(Environment(), p.env...), p.dir, out, out
	bind(cmd, p.workers)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	l := &life{cmd: cmd, done: make(chan struct{})}
	p.life = l
	p.owners.Go(func() { p.own(l) })
	p.logger.Info("started", "process", p.name, "pid", cmd.Process.Pid)
	return nil
}

// own waits for the end of a life.
func (p *Process) own(l *life) {
	_ = l.cmd.Wait()
	if p.workers {
		killGroup(l.cmd) // the children that the process has not ended itself
	}
	p.mu.Lock()
	asked := l.asked
	close(l.done)
	p.mu.Unlock()
	if status := l.cmd.ProcessState.String(); !asked {
		p.logger.Error("cluster: process ended unexpectedly", "process", p.name, "status", status, "log", p.log)
		p.died(p, status)
	}
}

// PID returns the id of the process, also after its end; 0 before the first start.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life == nil {
		return 0
	}
	return p.life.cmd.Process.Pid
}

// Running reports whether the process has been started and has not ended. A paused process is running.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.life.running()
}

// Kill ends a running process with SIGKILL, and waits for its end.
func (p *Process) Kill() {
	if l := p.requestEnd(); l != nil {
		_ = l.cmd.Process.Kill()
		<-l.done
	}
}

// Term sends SIGTERM to the process. It does not wait for the end; see Wait.
func (p *Process) Term() error {
	l := p.requestEnd()
	if l == nil {
		return nil
	}
	return p.signal(l, terminate)
}

// Pause stops the process with SIGSTOP until Resume. Its connections stay open.
func (p *Process) Pause() error { return p.signal(p.current(), pause) }

// Resume continues a paused process (SIGCONT).
func (p *Process) Resume() error { return p.signal(p.current(), resume) }

// Wait blocks until the process is not running, or ctx ends. It returns the exit status of the process, or
// -1 after a signal and before the first start, and the error of ctx.
func (p *Process) Wait(ctx context.Context) (status int, err error) {
	l := p.current()
	if l == nil {
		return -1, nil
	}
	select {
	case <-l.done:
		return l.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return -1, fmt.Errorf("wait for the end of %s: %w", p.name, ctx.Err())
	}
}

func (p *Process) current() *life {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.life
}

func (p *Process) wasAsked(l *life) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return l.asked
}

// requestEnd marks the current life as ended on request, and returns it, or nil if there is none.
func (p *Process) requestEnd() *life {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.life.running() {
		return nil
	}
	p.life.asked = true
	return p.life
}

func (p *Process) signal(l *life, sig signal) error {
	if !l.running() {
		return nil
	}
	if err := send(l.cmd, sig, p.workers); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// close ends the process permanently: with SIGTERM, and after grace with SIGKILL.
func (p *Process) close(grace time.Duration) {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.Resume()
	_ = p.Term()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	_, _ = p.Wait(ctx)
	p.Kill()
	p.owners.Wait()
}

// Bind makes a command without children end with this program. On Linux it also ends if this program is
// killed. On Unix it does not receive the Ctrl-C of this program.
func Bind(cmd *exec.Cmd) { bind(cmd, false) }

// BindGroup is like Bind, for a command with children. The returned function ends the started command and
// its children with SIGKILL (on Unix). It does not wait.
func BindGroup(cmd *exec.Cmd) (kill func()) {
	bind(cmd, true)
	return func() { killGroup(cmd) }
}

// Environment returns the environment of this program, without settings for another Tidemark.
func Environment() (env []string) {
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "TIDEMARK_") {
			env = append(env, entry)
		}
	}
	return env
}
