//go:build unix

package testcluster

import (
	"os/exec"
	"syscall"
)

type signal = syscall.Signal

const (
	terminate = syscall.SIGTERM
	pause     = syscall.SIGSTOP
	resume    = syscall.SIGCONT
)

// bind gives a command a process group of its own: Ctrl-C on a terminal is for the program
// that owns the topology, which then ends it in order.
func bind(cmd *exec.Cmd, workers bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithParent(cmd, workers)
}

// send signals a process. What pauses one with children must pause them too; ending them is
// its own business.
func send(cmd *exec.Cmd, sig signal, workers bool) error {
	if workers && sig != terminate {
		return syscall.Kill(-cmd.Process.Pid, sig)
	}
	return cmd.Process.Signal(sig)
}

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
