package e2e_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidemark/tidemark/internal/testcluster"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if built, err := build(); err == nil {
			_ = os.RemoveAll(filepath.Dir(built.Tidemark))
		}
		os.Exit(code)
	}))
}

// build compiles the commands once for all tests.
var build = sync.OnceValues(func() (testcluster.Binaries, error) {
	dir, err := os.MkdirTemp("", "tidemark-e2e")
	if err != nil {
		return testcluster.Binaries{}, err
	}
	built, err := testcluster.Build(context.Background(), dir)
	if err != nil {
		_ = os.RemoveAll(dir)
	}
	return built, err
})

func binaries(t *testing.T) testcluster.Binaries {
	t.Helper()
	built, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// command returns the path of tidemark.
func command(t *testing.T) string {
	t.Helper()
	return binaries(t).Tidemark
}
