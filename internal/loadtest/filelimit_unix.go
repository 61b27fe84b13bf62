//go:build unix

package loadtest

import "golang.org/x/sys/unix"

// checkFileLimit reports before the run that it would need too many descriptors.
func checkFileLimit(conns int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Cur < uint64(conns+reservedFiles) { //nolint:gosec // a count
		return fileLimitError(conns, limit.Cur)
	}
	return nil
}
