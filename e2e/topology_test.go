package e2e_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/testcluster"
)

// topologyTimeout bounds the start of a cluster. It is generous: six processes elect leaders on a loaded machine.
const topologyTimeout = 3 * time.Minute

// startTopology starts a cluster and waits until it is ready. It ends with the test, and fails the test if one of
// its processes ends by itself.
func startTopology(t *testing.T, opts testcluster.Options) *testcluster.Topology {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the files of the topology are for Unix")
	}
	if opts.Nginx {
		if _, err := testcluster.LookNginx(); errors.Is(err, testcluster.ErrNoNginx) {
			t.Skip(err)
		}
	}
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	opts.Binaries = binaries(t)
	opts.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	topo, err := testcluster.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := topo.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, p := range topo.Processes() {
				t.Logf("the end of %s:\n%s", filepath.Base(p.LogFile()), tail(p.LogFile(), 3<<10))
			}
		}
	})
	awaitTopology(t, topo)
	return topo
}

func awaitTopology(t *testing.T, topo *testcluster.Topology) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), topologyTimeout)
	defer cancel()
	if err := topo.Ready(ctx); err != nil {
		t.Fatal(err)
	}
}
