//go:build unix

package filelimit

import "golang.org/x/sys/unix"

// Current returns the limit of open files of this process, or 0 if it is unknown. Go has raised the soft
// limit to the hard one.
func Current() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur) //nolint:unconvert // it is signed on FreeBSD
}
