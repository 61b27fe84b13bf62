//go:build linux || darwin

package doctor

import "golang.org/x/sys/unix"

// freeBytes returns the free space for this user on the file system of a directory.
func freeBytes(dir string) (free uint64, known bool) {
	var stat unix.Statfs_t
	if unix.Statfs(dir, &stat) != nil || stat.Bsize <= 0 {
		return 0, false
	}
	return stat.Bavail * uint64(stat.Bsize), true
}

func writable(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }
