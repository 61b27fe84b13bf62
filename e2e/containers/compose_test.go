package containers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A tmpfs belongs to root, so images with another user cannot write to it, unless it is given to that user. Not
// all of these images can be run here.
func TestCompose_TemporaryFileSystems_BelongToTheirUser(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Tmpfs []string `yaml:"tmpfs"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for name, service := range file.Services {
		for _, mount := range service.Tmpfs {
			path, options, _ := strings.Cut(mount, ":")
			if path == "/tmp" { // which is writable for all users in every image
				continue
			}
			seen++
			if !strings.Contains(options, "uid=") || !strings.Contains(options, "gid=") {
				t.Errorf("%s: %s belongs to root; add the image's user, as uid= and gid=", name, mount)
			}
		}
	}
	if seen == 0 {
		t.Error("there is no tmpfs to look at")
	}
}
