package containers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if built {
		if dir, err := buildContext(); err == nil {
			_ = os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}

// buildImage builds tidemark:local, with a label that distinguishes builds.
func (p *project) buildImage(label string) {
	p.t.Helper()
	if mode == "full" && label == "" {
		p.compose("build", "tidemark")
		return
	}
	dir, err := buildContext()
	if err != nil {
		p.t.Fatal(err)
	}
	p.docker("build", "-q", "-t", "tidemark:local", "--label", "build="+label, dir)
}

var built bool

// buildContext is a directory with the last stage of the Dockerfile, and the files that this stage copies from the
// first one.
var buildContext = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "tidemark-image"); err != nil {
		return "", err
	}
	built = true
	stage, err := lastStage()
	if err != nil {
		return dir, err
	}
	certificates, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		return dir, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "out/data"), 0o750); err != nil {
		return dir, err
	}
	if err := writeFile(filepath.Join(dir, "Dockerfile"), stage); err != nil {
		return dir, err
	}
	if err := writeFile(filepath.Join(dir, "etc/ssl/certs/ca-certificates.crt"), certificates); err != nil {
		return dir, err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "out/tidemark"), "./cmd/tidemark")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// lastStage returns the Dockerfile with its first stage replaced by files of the context.
func lastStage() ([]byte, error) {
	content, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		return nil, err
	}
	_, last, found := strings.Cut(string(content), "\nFROM scratch\n")
	if !found {
		return nil, fmt.Errorf("the Dockerfile has no stage FROM scratch")
	}
	return []byte("FROM scratch AS build\nCOPY . /\nFROM scratch\n" + last), nil
}

// writeFile writes a file that users of a container can read.
func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return os.Chmod(path, 0o644)
}
