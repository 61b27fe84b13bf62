package containers

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// withoutStandIn are the images for which the script engine has no stand-in.
var withoutStandIn = map[string]string{
	"grafana/grafana":                      "neither Debian nor the Go proxy has it; e2e/grafana checks the dashboard by its schema",
	"grafana/loki":                         "neither Debian nor the Go proxy has it as one program",
	"grafana/tempo":                        "neither Debian nor the Go proxy has it as one program",
	"otel/opentelemetry-collector-contrib": "neither Debian nor the Go proxy has it as one program",
	"tidemark":                             "built from the Dockerfile",
	"scratch":                              "empty, and built into the engine",
}

// named matches the images of compose.yaml and of a Dockerfile, with their tags.
var named = regexp.MustCompile(`(?m)^(?:\s+image: |FROM |# syntax=)(\S+)`)

func imagesOf(t *testing.T, file string) (repositories []string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range named.FindAllStringSubmatch(string(content), -1) {
		repository, _, _ := strings.Cut(found[1], ":")
		repositories = append(repositories, repository)
	}
	return repositories
}

func TestImages_EachThatIsNamed_HasAStandInOrAReason(t *testing.T) {
	used := map[string]bool{}
	for _, file := range []string{"compose.yaml", "Dockerfile"} {
		images := imagesOf(t, file)
		if len(images) < 2 {
			t.Errorf("%s names %q only", file, images)
		}
		for _, image := range images {
			standIn := path.Base(image)
			used[image], used[standIn] = true, true
			_, err := os.Stat(filepath.Join("images", standIn, "Dockerfile"))
			if reason := withoutStandIn[image]; err != nil && reason == "" {
				t.Errorf("%s names %s: add images/%s, or the reason why there is none to withoutStandIn", file, image, standIn)
			} else if err == nil && reason != "" {
				t.Errorf("%s has a stand-in, and a reason why there is none", image)
			}
		}
	}
	for image := range withoutStandIn {
		if !used[image] {
			t.Errorf("nothing names %s any more", image)
		}
	}
	standIns, err := filepath.Glob("images/*/Dockerfile")
	if err != nil || len(standIns) == 0 {
		t.Fatal(standIns, err)
	}
	for _, file := range standIns {
		if name := filepath.Base(filepath.Dir(file)); !used[name] {
			t.Errorf("nothing names the image of %s any more", file)
		}
	}
}

// The image in place of nats is built from go.mod.
func TestImages_NATS_HasTheVersionOfTheModule(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`github\.com/nats-io/nats-server/v2 v(\S+)`).FindSubmatch(mod)
	compose, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if version == nil || !strings.Contains(string(compose), "image: nats:"+string(version[1])+"-") {
		t.Errorf("go.mod has nats-server %s, and compose.yaml another one", version)
	}
}
