//go:build unix

package filelimit

import "golang.org/x/sys/unix"

// Current is how many files this process may open; 0 when that is not known. Go has raised
// the soft limit to the hard one.
func Current() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur) //nolint:unconvert // it is signed on FreeBSD
}
