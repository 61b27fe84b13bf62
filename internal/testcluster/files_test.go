package testcluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func root(t *testing.T) string {
	t.Helper()
	dir, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, elem ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{root(t)}, elem...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// service contains the checked fields of a service in compose.yaml.
type service struct {
	Environment   map[string]string `yaml:"environment"`
	Ports         []string          `yaml:"ports"`
	ContainerName string            `yaml:"container_name"`
	Privileged    bool              `yaml:"privileged"`
	ReadOnly      bool              `yaml:"read_only"`
	CapDrop       []string          `yaml:"cap_drop"`
	SecurityOpt   []string          `yaml:"security_opt"`
}

func compose(t *testing.T) map[string]service {
	t.Helper()
	var file struct {
		Services map[string]service `yaml:"services"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	return file.Services
}

func TestComposeIsTakenByDockerCompose(t *testing.T) {
	path, err := exec.LookPath("docker-compose")
	if err != nil {
		t.Skip("no docker-compose was found (apt-get install docker-compose): compose.yaml is not checked by it")
	}
	cmd := exec.Command(path, "-f", "compose.yaml", "--profile", "bench", "--profile", "websocket", "--profile", "observability", "config", "-q")
	cmd.Dir = root(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The published ports and the privileges of the containers must not grow unnoticed.
func TestComposeKeepsToItself(t *testing.T) {
	services := compose(t)
	for name, s := range services {
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: the port %s can be reached from other machines", name, port)
			}
		}
		if !s.ReadOnly || s.Privileged || !slices.Contains(s.CapDrop, "ALL") || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s is not contained: %+v", name, s)
		}
	}
	if n := services["tidemark"]; n.ContainerName != "" || len(n.Ports) > 0 {
		t.Errorf("tidemark cannot be scaled: %+v", n)
	}
}

var (
	natsVariable = regexp.MustCompile(`(?m)^[^#\n]*\$(NATS_[A-Z_]+)`)
	anyVariable  = regexp.MustCompile(`\$\{([A-Za-z0-9_]+)\}`)
	// Compose uses the default if the variable is not set.
	withoutEnvironment = regexp.MustCompile(`\$\{[A-Za-z0-9_]+:-([^}]*)\}`)
)

func TestComposeSetsWhatTheFilesAskFor(t *testing.T) {
	services := compose(t)
	for name, file := range map[string]string{"nats-1": "nats.conf", "nats-2": "nats.conf", "nats-3": "nats.conf", "websocket": "websocket.conf"} {
		for _, found := range natsVariable.FindAllStringSubmatch(read(t, "config/nats", file), -1) {
			if services[name].Environment[found[1]] == "" {
				t.Errorf("%s does not set %s", name, found[1])
			}
		}
	}
	for _, found := range anyVariable.FindAllStringSubmatch(read(t, "config/nginx/tidemark.conf.template"), -1) {
		if _, ok := services["nginx"].Environment[found[1]]; !ok && found[1] != "FRONT_" {
			t.Errorf("nginx does not set %s", found[1])
		}
	}
}

func TestClusterConfiguration(t *testing.T) {
	environ := []string{"TIDEMARK_HTTP_ADDR=:8080"} // as in the Dockerfile
	for name, value := range compose(t)["tidemark"].Environment {
		if name != "TIDEMARK_CONFIG" {
			environ = append(environ, name+"="+withoutEnvironment.ReplaceAllString(value, "$1"))
		}
	}
	cfg, err := config.Load(config.Options{File: filepath.Join(root(t), "config/cluster.yaml"), Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Streams.Replicas != 3 || cfg.PublishEnabled() || cfg.Insecure {
		t.Errorf("%+v", cfg)
	}
}

func TestNginxTakesTheSite(t *testing.T) {
	path, err := LookNginx()
	if err != nil {
		t.Skip(err)
	}
	version, err := nginxVersion(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for _, login := range []string{"", fmt.Sprintf("include %s;", filepath.Join(root(t), "config/nginx/auth-request.conf"))} {
		testNginxTakesTheSite(t, path, version, login)
	}
}

func testNginxTakesTheSite(t *testing.T, path string, version [3]int, login string) {
	dir := t.TempDir()
	cert, key, err := certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	ports, err := testkit.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	topo := &Topology{opts: Options{Root: root(t), NginxLogin: login}, Nodes: []*Node{{URL: "http://127.0.0.1:1"}, {URL: "http://127.0.0.1:2"}}}
	vars := topo.front(ports[0], ports[1], version)
	vars["FRONT_CERT"], vars["FRONT_KEY"] = cert, key
	if err := renderNginx(filepath.Join(root(t), "config/nginx"), dir, vars); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, append(NginxArgs(dir), "-t")...).CombinedOutput()
	if err != nil || strings.Contains(string(out), "[warn]") && !strings.Contains(string(out), "open file resource limit") {
		t.Errorf("nginx -t: %v\n%s", err, out)
	}
	site, err := os.ReadFile(filepath.Join(dir, "conf.d/tidemark.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"server 127.0.0.1:1 max_fails=0", "server 127.0.0.1:2 max_fails=0", fmt.Sprintf("listen 127.0.0.1:%d ssl", ports[1])} {
		if !strings.Contains(string(site), line) {
			t.Errorf("%q is missing in\n%s", line, site)
		}
	}
}

// The versions of nginx have different directives for HTTP/2.
func TestFrontFitsTheVersion(t *testing.T) {
	for version, want := range map[[3]int]string{
		{1, 22, 1}: "127.0.0.1:2 ssl http2/", {1, 25, 0}: "127.0.0.1:2 ssl http2/",
		{1, 25, 1}: "127.0.0.1:2 ssl/http2 on;", {1, 28, 0}: "127.0.0.1:2 ssl/http2 on;", {2, 0, 0}: "127.0.0.1:2 ssl/http2 on;",
	} {
		vars := (&Topology{}).front(1, 2, version)
		if got := vars["FRONT_HTTPS"] + "/" + vars["FRONT_HTTP2"]; got != want {
			t.Errorf("%v: %s, want %s", version, got, want)
		}
	}
}
