package e2e_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/testcluster"
	"github.com/tidemark/tidemark/pkg/auth"
)

// gateways are two nodes, the login service, and the proxies in front of both, each with its file from config/.
type gateways struct {
	*testcluster.Topology
	login *loginService
	key   string            // with the right to publish
	urls  map[string]string // of the installed proxies
}

// startGateways starts the installed proxies.
func startGateways(t *testing.T) *gateways {
	t.Helper()
	key, line, err := auth.NewAPIKey("shop", "notifications.>")
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &gateways{login: newLoginService(t), key: key, urls: map[string]string{}}
	opts := testcluster.Options{NATS: 2, Nodes: 2, NodeEnv: func(int) []string {
		return []string{
			"TIDEMARK_DEV=false", "TIDEMARK_AUTH_IDENTITY=header", "TIDEMARK_AUTH_HEADER_EXPIRES=X-User-Expires", "TIDEMARK_AUTH_HEADER_ENCODING=none",
			"TIDEMARK_PUBLISH_KEYS=" + keys, "TIDEMARK_SSE_HEARTBEAT=1s",
		}
	}}
	if _, err := testcluster.LookNginx(); err == nil {
		include := renderFile(t, "nginx/auth-request.conf", map[string]string{"127.0.0.1:9090": g.login.addr})
		opts.Nginx, opts.NginxLogin = true, "include "+include+";"
	}
	g.Topology = startTopology(t, opts)
	if g.Nginx != nil {
		g.urls["nginx"] = g.Nginx.URL
	}
	g.startCaddy(t)
	g.startHAProxy(t)
	return g
}

// addresses maps the addresses in the files of the proxies to those of the test.
func (g *gateways) addresses(t *testing.T) map[string]string {
	t.Helper()
	replaced := map[string]string{"127.0.0.1:9090": g.login.addr}
	for i, placeholder := range []string{"10.0.0.1:8080", "10.0.0.2:8080"} {
		node, err := url.Parse(g.Nodes[i].URL)
		if err != nil {
			t.Fatal(err)
		}
		replaced[placeholder] = node.Host
	}
	return replaced
}

func (g *gateways) startCaddy(t *testing.T) {
	t.Helper()
	path, err := exec.LookPath("caddy")
	if err != nil {
		return
	}
	addr, replaced := freeAddr(t), g.addresses(t)
	// Without TLS, and without the admin listener, whose port exists once on a machine.
	replaced["events.example.com {"] = "{\n\tadmin off\n\tauto_https off\n}\nhttp://" + addr + " {"
	dir := t.TempDir()
	cmd := exec.Command(path, "run", "--adapter", "caddyfile", "--config", renderFile(t, "caddy/Caddyfile", replaced))
	cmd.Env = []string{"HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "XDG_DATA_HOME=" + dir}
	g.urls["Caddy"] = startProxy(t, cmd, addr)
}

func (g *gateways) startHAProxy(t *testing.T) {
	t.Helper()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			return
		}
	}
	addr, replaced := freeAddr(t), g.addresses(t)
	replaced["bind :8080"], replaced["maxconn 32000"] = "bind "+addr, "maxconn 1000" // the limit of open files may be low
	replaced["/etc/haproxy/login.lua"] = filepath.Join(repository(t), "config/haproxy/login.lua")
	g.urls["HAProxy"] = startProxy(t, exec.Command(path, "-db", "-f", renderFile(t, "haproxy/haproxy.cfg", replaced)), addr)
}

func startProxy(t *testing.T, cmd *exec.Cmd, addr string) (url string) {
	t.Helper()
	log := output(t, filepath.Join(t.TempDir(), "proxy.log"))
	p := start(t, cmd, log, log)
	eventually(t, filepath.Base(cmd.Path)+" passes requests on", func() bool {
		if p.ended() {
			t.Fatalf("%s has ended", cmd.Path)
		}
		return status("http://"+addr+"/readyz") == 200
	})
	return "http://" + addr
}

func repository(t *testing.T) string {
	t.Helper()
	root, err := testcluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// renderFile writes a file of config/ with other addresses.
func renderFile(t *testing.T, name string, replaced map[string]string) (path string) {
	t.Helper()
	return renderAt(t, filepath.Join(repository(t), "config", name), replaced)
}

// renderAt writes a copy of a file with other texts. The file must contain each text that is replaced.
func renderAt(t *testing.T, file string, replaced map[string]string) (path string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for before, after := range replaced {
		if !strings.Contains(text, before) {
			t.Fatalf("%s does not have %q", file, before)
		}
		text = strings.ReplaceAll(text, before, after)
	}
	path = filepath.Join(t.TempDir(), filepath.Base(file))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
