package tidemark_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// removedByNginx are the headers of clients that config/nginx removes or overwrites, in lower case.
func removedByNginx(t *testing.T) (names []string) {
	t.Helper()
	for _, line := range regexp.MustCompile(`(?m)^proxy_set_header (\S+) (?:""|\$front_\w+);`).FindAllStringSubmatch(read(t, "config/nginx/proxy-headers.conf"), -1) {
		if name := strings.ToLower(line[1]); name != "connection" {
			names = append(names, name)
		}
	}
	if len(names) < 30 || !slices.Contains(names, "x-user") || !slices.Contains(names, "x-user-expires") {
		t.Fatalf("nginx removes %q", names)
	}
	return names
}

// TestProxyFiles_NotRunByTests_RemoveWhatNginxRemoves: Debian has neither Traefik nor Envoy. e2e runs the
// files of the others (TestGateways).
func TestProxyFiles_NotRunByTests_RemoveWhatNginxRemoves(t *testing.T) {
	for _, name := range removedByNginx(t) {
		// Traefik overwrites these itself.
		if slices.Contains([]string{"x-forwarded-host", "x-forwarded-port", "x-forwarded-server"}, name) {
			continue
		}
		if !slices.Contains(removedByTraefik(t), name) {
			t.Errorf("config/traefik/dynamic.yaml does not remove %s", name)
		}
	}
	for _, name := range []string{"x_user", "x_user_expires"} {
		if !slices.Contains(removedByTraefik(t), name) {
			t.Errorf("config/traefik/dynamic.yaml does not remove %s", name)
		}
	}
	for _, name := range append(removedByNginx(t), "x-forwarded-for", "x-forwarded-proto") {
		if !slices.Contains(removedByEnvoy(t), name) {
			t.Errorf("config/envoy/envoy.yaml does not remove %s", name)
		}
	}
}

// removedByTraefik checks that each router removes headers before it does anything else.
func removedByTraefik(t *testing.T) (names []string) {
	t.Helper()
	var file struct {
		HTTP struct {
			Routers     map[string]struct{ Middlewares []string }
			Middlewares map[string]struct {
				Headers struct {
					Custom map[string]string `yaml:"customRequestHeaders"`
				}
				ForwardAuth struct {
					Trust   bool     `yaml:"trustForwardHeader"`
					Headers []string `yaml:"authResponseHeaders"`
				} `yaml:"forwardAuth"`
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "config/traefik/dynamic.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	for name, router := range file.HTTP.Routers {
		if len(router.Middlewares) == 0 || router.Middlewares[0] != "remove-identity" {
			t.Errorf("config/traefik/dynamic.yaml: the router %s has the middlewares %q", name, router.Middlewares)
		}
	}
	if login := file.HTTP.Middlewares["login"].ForwardAuth; login.Trust || !slices.Equal(login.Headers, []string{"X-User", "X-User-Expires"}) {
		t.Errorf("config/traefik/dynamic.yaml: %+v", login)
	}
	for name, value := range file.HTTP.Middlewares["remove-identity"].Headers.Custom {
		if value != "" {
			t.Errorf("config/traefik/dynamic.yaml sets %s to %q", name, value)
		}
		names = append(names, strings.ToLower(name))
	}
	return names
}

// removedByEnvoy checks that headers are removed before the filters run, and those with an underscore, too.
func removedByEnvoy(t *testing.T) (names []string) {
	t.Helper()
	text := read(t, "config/envoy/envoy.yaml")
	var file any
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	mutations, filters := strings.Index(text, "early_header_mutation_extensions:"), strings.Index(text, "http_filters:")
	if mutations < 0 || filters < mutations || !strings.Contains(text, "headers_with_underscores_action: DROP_HEADER") || !strings.Contains(text, "failure_mode_allow: false") {
		t.Error("config/envoy/envoy.yaml does not remove headers before its filters run")
	}
	for _, line := range regexp.MustCompile(`(?m)^ +- remove: (\S+)$`).FindAllStringSubmatch(text[mutations:filters], -1) {
		names = append(names, line[1])
	}
	return names
}
