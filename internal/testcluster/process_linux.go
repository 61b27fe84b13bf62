package testcluster

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel end the command when this program dies without Stop. One with
// children is told gently: SIGKILL would leave them behind.
func endWithParent(cmd *exec.Cmd, workers bool) {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if workers {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	}
}
