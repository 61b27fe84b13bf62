//go:build !unix

package testcluster

import (
	"errors"
	"os/exec"
)

type signal int

const (
	terminate signal = iota
	pause
	resume
)

func bind(*exec.Cmd, bool) {}

func killGroup(*exec.Cmd) {}

// send supports only the end of a process on this system.
func send(cmd *exec.Cmd, sig signal, _ bool) error {
	if sig == terminate {
		return cmd.Process.Kill()
	}
	return errors.ErrUnsupported
}
