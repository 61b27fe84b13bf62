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

// Process is one program that can be ended and started again, with the same arguments, ports
// and files. Its methods may be called from any goroutine.
type Process struct {
	name string
	path string
	args []string
	env  []string
	dir  string
	log  string
	// workers says that it has children, which must not outlive it.
	workers bool
	died    func(p *Process, status string)
	logger  *slog.Logger

	mu     sync.Mutex
	life   *life // nil before the first start
	closed bool
	owners sync.WaitGroup
}

// life is the time from one start of a process to its end.
type life struct {
	cmd   *exec.Cmd
	done  chan struct{} // closed when it has ended
	asked bool          // somebody has asked it to end
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

// Name is n1, n2, ... of a NATS server, t1, t2, ... of a node, and nginx.
func (p *Process) Name() string { return p.name }

// LogFile is what the process wrote to its standard output and error, of all its lives.
func (p *Process) LogFile() string { return p.log }

// Start begins a life, and does not wait until the process is of use. One that runs is left
// alone.
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
	defer out.Close() // the process has its own
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
		killGroup(l.cmd) // its children, if it could not end them itself
	}
	p.mu.Lock()
	asked := l.asked
	close(l.done)
	p.mu.Unlock()
	if status := l.cmd.ProcessState.String(); !asked {
		p.logger.Error("a process has died", "process", p.name, "status", status, "log", p.log)
		p.died(p, status)
	}
}

// PID is the process's id, also after its end; 0 before the first start.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life == nil {
		return 0
	}
	return p.life.cmd.Process.Pid
}

// Running reports whether the process has been started and has not ended. One that is paused
// runs.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.life.running()
}

// Kill ends the process with SIGKILL, if it runs, and waits for its end.
func (p *Process) Kill() {
	if l := p.ask(); l != nil {
		_ = l.cmd.Process.Kill()
		<-l.done
	}
}

// Term asks the process to end (SIGTERM) and does not wait; Wait does.
func (p *Process) Term() error {
	l := p.ask()
	if l == nil {
		return nil
	}
	return p.signal(l, terminate)
}

// Pause stops the process where it is (SIGSTOP), with its connections open, until Resume.
func (p *Process) Pause() error { return p.signal(p.current(), pause) }

// Resume lets a paused process go on (SIGCONT).
func (p *Process) Resume() error { return p.signal(p.current(), resume) }

// Wait blocks until the process does not run, or ctx ends, whose error it then returns. The
// status is the one that it exited with; -1 after a signal, and before the first start.
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

// ask notes that the end of the present life is asked for; nil when there is none.
func (p *Process) ask() *life {
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

// close ends the process for good: gently for as long as grace, and then with SIGKILL.
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

// Bind prepares a command that has no children to end with this program, also when this one is
// killed (on Linux), and not by the Ctrl-C that is meant for this one (on Unix).
func Bind(cmd *exec.Cmd) { bind(cmd, false) }

// BindGroup is Bind for a command that has children. Once it was started, the function ends all that
// is left of it and of them with SIGKILL (on Unix), and does not wait.
func BindGroup(cmd *exec.Cmd) (kill func()) {
	bind(cmd, true)
	return func() { killGroup(cmd) }
}

// Environment is that of this program, without settings that are meant for another Tidemark.
func Environment() (env []string) {
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "TIDEMARK_") {
			env = append(env, entry)
		}
	}
	return env
}
