package server

import "testing"

func TestContainerExec_Engine_NamesItsCommand(t *testing.T) {
	for name, c := range map[string]struct {
		env, file, host, want string
	}{
		"no container":         {"", "", "web1", ""},
		"Docker":               {"", "/.dockerenv", "3f2a9c1b7d4e", "docker exec 3f2a9c1b7d4e"},
		"Docker, a hostname":   {"", "/.dockerenv", "web1", "docker exec CONTAINER"},
		"Podman":               {"", "/run/.containerenv", "3f2a9c1b7d4e", "podman exec 3f2a9c1b7d4e"},
		"Kubernetes":           {"10.0.0.1", "", "tidemark-0", "kubectl exec tidemark-0 --"},
		"Kubernetes, Docker's": {"10.0.0.1", "/.dockerenv", "tidemark-0", "kubectl exec tidemark-0 --"},
	} {
		getenv := func(name string) string {
			if name == "KUBERNETES_SERVICE_HOST" {
				return c.env
			}
			return ""
		}
		image := func(path string) bool { return path == c.file }
		if got := execCommand(getenv, image, c.host); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		withShell := func(path string) bool { return path == c.file || path == "/bin/sh" }
		if got := execCommand(getenv, withShell, c.host); got != "" {
			t.Errorf("%s with a shell: %q", name, got)
		}
	}
}
