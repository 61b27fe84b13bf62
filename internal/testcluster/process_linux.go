package testcluster

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel end the command if this program dies without Stop. A command with
// children receives SIGTERM, because SIGKILL would leave its children behind.
func endWithParent(cmd *exec.Cmd, workers bool) {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if workers {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	}
}
