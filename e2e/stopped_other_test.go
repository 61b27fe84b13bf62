//go:build !linux

package e2e_test

import "testing"

func (e engines) testStopped(t *testing.T) {
	t.Skip("the processes of a browser are found on Linux alone")
}
