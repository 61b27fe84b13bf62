//go:build unix && !linux

package testcluster

import "os/exec"

// endWithParent does nothing: the kernel has no such signal.
func endWithParent(*exec.Cmd, bool) {}
