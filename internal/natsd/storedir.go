package natsd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// storeDirError names what to change where the store directory cannot be created or written to. The
// usual places are containers: a directory of the host that belongs to root, and a read-only root.
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
			"make %s its owner (chown; of a bind mount, on the host), or name another directory: %w", dir, user, blocking, user, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("nats.embedded.dir: cannot store in %s: %s is read-only; "+
			"mount a volume there, name a directory that can be written to, or set nats.url to use another NATS server: %w", dir, existing(dir), err)
	}
	return fmt.Errorf("nats.embedded.dir: cannot store in %s: %w", dir, err)
}

// existing returns path, or the directory above it that exists.
func existing(path string) string {
	for {
		parent := filepath.Dir(path)
		if _, err := os.Stat(path); err == nil || parent == path {
			return path
		}
		path = parent
	}
}
