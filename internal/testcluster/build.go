package testcluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Build builds tidemark, and nats-server in the version of go.mod, below dir. The sources are the checkout
// of the working directory. It blocks for some seconds, or up to two minutes for the first build.
func Build(ctx context.Context, dir string) (Binaries, error) {
	root, err := Root()
	if err != nil {
		return Binaries{}, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return Binaries{}, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return Binaries{}, err
	}
	b := Binaries{Tidemark: executable(dir, "tidemark"), NATSServer: executable(dir, "nats-server")}
	for out, pkg := range map[string]string{b.Tidemark: "./cmd/tidemark", b.NATSServer: "github.com/nats-io/nats-server/v2"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", out, pkg)
		cmd.Dir = root
		if said, err := cmd.CombinedOutput(); err != nil {
			return Binaries{}, fmt.Errorf("go build %s: %w\n%s", pkg, err, said)
		}
	}
	return b, nil
}

func executable(dir, name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(dir, name)
}
