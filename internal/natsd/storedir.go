package natsd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// storeDirError describes the remedy if the store directory cannot be created or written. This happens
// mostly in containers: with a host directory owned by root, or with a read-only root file system.
func storeDirError(dir string, err error) error {
	if abs, absErr := filepath.Abs(dir); absErr == nil {
		dir = abs
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		blocking := existing(dir)
		user := "this user"
		if uid := os.Getuid(); uid >= 0 {
			user = fmt.Sprintf("user %d", uid)
		}
		return fmt.Errorf("nats.embedded.dir: cannot store in %s: %s may not write to %s; "+
			"make %s its owner (chown; for a bind mount, on the host), or set another directory: %w", dir, user, blocking, user, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("nats.embedded.dir: cannot store in %s: %s is read-only; "+
			"mount a volume there, set a writable directory, or set nats.url to use another NATS server: %w", dir, existing(dir), err)
	}
	return fmt.Errorf("nats.embedded.dir: cannot store in %s: %w", dir, err)
}

// existing returns path if it exists, or else its closest existing parent directory.
func existing(path string) string {
	for {
		parent := filepath.Dir(path)
		if _, err := os.Stat(path); err == nil || parent == path {
			return path
		}
		path = parent
	}
}
