package natsd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// InUse reports whether a server of this or another process uses a store directory. It creates no files.
//
// On a system without file locks it returns false. It holds the lock for an instant, and a server that
// starts at that time fails.
func InUse(dir string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = lockFile(f)
	if errors.Is(err, errLocked) {
		return true, nil
	}
	return false, err
}
