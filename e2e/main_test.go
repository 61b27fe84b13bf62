package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built, err := build(); err == nil {
			_ = os.RemoveAll(filepath.Dir(built))
		}
		os.Exit(code)
	}))
}

// build makes the command, once in a run of the tests, and returns where it is.
var build = sync.OnceValues(func() (path string, err error) {
	dir, err := os.MkdirTemp("", "tidemark-e2e")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "tidemark")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/tidemark")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func command(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
