package natsd

import (
	"errors"
	"os"
	"path/filepath"
)

// lockName is the name of the lock file. It is not removed with the lock: otherwise two processes could
// lock two different files of the same name.
const lockName = ".tidemark.lock"

var errLocked = errors.New("locked by another process")

// dirLock marks a directory as in use. The system releases it when the process dies.
type dirLock struct{ f *os.File }

func acquire(dir string) (*dirLock, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return &dirLock{f: f}, nil
}

func (l *dirLock) release() { _ = l.f.Close() }
