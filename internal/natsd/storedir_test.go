package natsd

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestStoreDirError_Cause_NamesTheRemedy(t *testing.T) {
	above := t.TempDir()
	dir := filepath.Join(above, "data", "nats")
	for name, c := range map[string]struct {
		err  error
		want []string
	}{
		"another owner": {&fs.PathError{Op: "mkdir", Path: dir, Err: syscall.EACCES}, []string{"may not write to " + above + ";", "chown"}},
		"read-only":     {&fs.PathError{Op: "mkdir", Path: dir, Err: syscall.EROFS}, []string{above + " is read-only", "volume", "nats.url"}},
		"anything else": {&fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOSPC}, []string{syscall.ENOSPC.Error()}},
	} {
		got := storeDirError(dir, c.err).Error()
		for _, want := range append(c.want, "nats.embedded.dir", dir) {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s, want %q", name, got, want)
			}
		}
	}
}

func TestStart_StoreBelowAFile_NamesTheKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Addr: "127.0.0.1:0", Dir: filepath.Join(file, "nats")})
	if err == nil || !strings.Contains(err.Error(), "nats.embedded.dir") || !strings.Contains(err.Error(), file) {
		t.Errorf("%v", err)
	}
}
