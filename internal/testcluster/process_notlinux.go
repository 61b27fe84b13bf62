//go:build unix && !linux

package testcluster

import "os/exec"

// endWithParent has nothing to offer where the kernel has no such signal.
func endWithParent(*exec.Cmd, bool) {}
