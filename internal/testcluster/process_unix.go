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

// bind gives a command its own process group: Ctrl-C on a terminal reaches only the program with the
// topology, which then ends the command in order.
func bind(cmd *exec.Cmd, workers bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithParent(cmd, workers)
}

// send signals a process. Pausing a process also pauses its children. A process ends its children itself.
func send(cmd *exec.Cmd, sig signal, workers bool) error {
	if workers && sig != terminate {
		return syscall.Kill(-cmd.Process.Pid, sig)
	}
	return cmd.Process.Signal(sig)
}

func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
