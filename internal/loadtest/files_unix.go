//go:build unix

package loadtest

import "golang.org/x/sys/unix"

// checkFiles finds out before the run that descriptors would not do.
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
