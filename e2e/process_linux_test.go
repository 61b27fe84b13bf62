package e2e_test

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel end the command when the test dies without a cleanup, as it
// does after its timeout.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
