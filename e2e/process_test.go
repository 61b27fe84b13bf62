package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/testcluster"
	"github.com/tidemark/tidemark/internal/testkit"
)

// process is a command that a test has started. It ends with the test.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// start runs a command in its own directory, or in cmd.Dir. Output goes to files instead of pipes: the command
// writes as it would for a user, also while the test does not read, and no byte is lost when it is killed.
func start(t *testing.T, cmd *exec.Cmd, stdout, stderr *os.File) *process {
	t.Helper()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Env = append(testcluster.Environment(), cmd.Env...)
	testcluster.Bind(cmd)
	return startProcess(t, cmd, func() {})
}

// startGroup is start for a command with children, which end with the test, too.
func startGroup(t *testing.T, cmd *exec.Cmd, out *os.File) *process {
	t.Helper()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(testcluster.Environment(), cmd.Env...)
	return startProcess(t, cmd, testcluster.BindGroup(cmd))
}

// startProcess starts a command, waits for its end, and then kills its children: later the id of the group may
// belong to another process.
func startProcess(t *testing.T, cmd *exec.Cmd, killGroup func()) *process {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait()
		killGroup()
	}()
	t.Cleanup(p.kill)
	return p
}

// wait blocks until the process has ended, and returns its status; -1 after a signal.
func (p *process) wait() (status int) {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the process with SIGKILL, if it has not ended, and waits for that.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	p.wait()
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Errorf("signal %d: %v", p.cmd.Process.Pid, err)
	}
}

// output opens a file to which processes append. A failed test logs its end.
func output(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer f.Close()
		if t.Failed() {
			t.Logf("the end of %s:\n%s", name, tail(name, 8<<10))
		}
	})
	return f
}

func tail(name string, size int) []byte {
	content, _ := os.ReadFile(name)
	return bytes.ToValidUTF8(content[max(0, len(content)-size):], []byte("?"))
}

// waitTimeout bounds each wait.
const waitTimeout = 2 * time.Minute

// eventually polls until ok returns true, and fails the test after waitTimeout.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	testkit.Eventually(t, waitTimeout, what, ok)
}
