//go:build !unix

package loadtest

// checkFileLimit does nothing: this system has no such limit.
func checkFileLimit(int) error { return nil }
