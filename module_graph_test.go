package tidemark_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// forTestsAlone are the direct requirements of this module that only its tests import, with the reason why those
// tests are not in a nested module.
var forTestsAlone = map[string]string{
	"github.com/google/go-cmp":        "shows differences of configurations and stream definitions beside the tested packages; it requires nothing",
	"github.com/nats-io/jwt/v2":       "makes accounts for the embedded server; nats-server requires it, too",
	"github.com/rogpeppe/go-internal": "runs the scripts of cmd/tidemark with the test binary as the command",
	"go.opentelemetry.io/proto/otlp":  "decodes spans in internal/tracing/tracestest; the exporter requires it, too",
	"go.uber.org/goleak":              "each package that starts goroutines checks that they end",
	"google.golang.org/protobuf":      "as go.opentelemetry.io/proto/otlp",
}

// testHelpers are packages that only tests import.
var testHelpers = []string{"internal/testkit/leaks", "internal/tracing/tracestest"}

var (
	requirement    = regexp.MustCompile(`(?m)^\t(\S+) v\S+$`) // direct ones
	anyRequirement = regexp.MustCompile(`(?m)^\t(\S+) (v\S+)`)
)

func TestModule_DirectRequirements_AreNotForTestsAlone(t *testing.T) {
	imported := make(map[string]bool)
	for pkg, direct := range readImports(t) {
		if inNestedModule(pkg) || slices.Contains(testHelpers, pkg) {
			continue
		}
		for path := range direct {
			imported[path] = true
		}
	}
	required := requirement.FindAllStringSubmatch(read(t, "go.mod"), -1)
	if len(required) < 20 {
		t.Fatalf("go.mod has only %d direct requirements", len(required))
	}
	for _, found := range required {
		used := false
		for path := range imported {
			used = used || within(path, []string{found[1]})
		}
		if _, listed := forTestsAlone[found[1]]; used == listed {
			t.Errorf("%s: imported outside of tests: %t, in forTestsAlone: %t; move tests that need such a library to e2e, or give the reason there", found[1], used, listed)
		}
	}
}

// The module of the tests has the same versions of libraries as the commands that it runs.
func TestModule_E2E_HasTheVersionsOfTheRoot(t *testing.T) {
	ours := make(map[string]string)
	for _, found := range anyRequirement.FindAllStringSubmatch(read(t, "go.mod"), -1) {
		ours[found[1]] = found[2]
	}
	shared := 0
	for _, found := range anyRequirement.FindAllStringSubmatch(read(t, "e2e/go.mod"), -1) {
		version, ok := ours[found[1]]
		if !ok {
			continue
		}
		shared++
		if version != found[2] {
			t.Errorf("e2e/go.mod requires %s %s, and go.mod %s; run `go get %[1]s@%[3]s && go mod tidy` in e2e", found[1], found[2], version)
		}
	}
	if shared < 20 {
		t.Errorf("e2e/go.mod shares only %d requirements with go.mod", shared)
	}
}

// inNestedModule reports whether a package is below a go.mod other than that of the root.
func inNestedModule(pkg string) bool {
	for dir := pkg; dir != "."; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return true
		}
	}
	return false
}

// neverForConsumers are modules of browsers, OpenAPI, dashboards and client libraries, which tests in nested modules use.
var neverForConsumers = []string{
	"github.com/chromedp", "github.com/go-json-experiment", "github.com/gobwas",
	"github.com/getkin", "github.com/go-openapi", "github.com/oasdiff", "github.com/santhosh-tekuri",
	"github.com/grafana", "github.com/r3labs", "github.com/tmaxmax",
}

// TestModuleGraph_OfAProgramWithPublicPackages_HasNoTestLibraries lists the modules of a program that requires this
// one, as its author would see them.
func TestModuleGraph_OfAProgramWithPublicPackages_HasNoTestLibraries(t *testing.T) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	goMod := fmt.Sprintf("module example.com/consumer\n\ngo %s\n\nrequire %s v0.0.0\n\nreplace %[2]s => %q\n",
		regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(read(t, "go.mod"))[1], strings.TrimSuffix(module, "/"), root)
	program := "package main\n\nimport (\n\t_ \"" + module + "pkg/client\"\n\t_ \"" + module + "pkg/sse\"\n)\n\nfunc main() {}\n"
	for name, content := range map[string]string{"go.mod": goMod, "go.sum": read(t, "go.sum"), "main.go": program} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list := func(args ...string) []string {
		cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
		}
		return strings.Fields(string(out))
	}
	modules := list("-m", "-f", "{{.Path}}", "all")
	if !slices.Contains(modules, "github.com/nats-io/nats.go") {
		t.Fatalf("the list of modules is not that of the program: %q", modules)
	}
	for _, m := range modules {
		if within(m, neverForConsumers) {
			t.Errorf("the program has the module %s; tests that need it belong in a nested module, such as e2e", m)
		}
	}
	for _, pkg := range list("-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".") {
		if !within(pkg, []string{"example.com/consumer", module + "pkg/client", module + "pkg/sse"}) {
			t.Errorf("a program with pkg/client and pkg/sse has the package %s", pkg)
		}
	}
}
