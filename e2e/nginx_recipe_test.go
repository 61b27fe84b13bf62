package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/testcluster"
)

// TestDocumentedNginx types how DEPLOYMENT renders the template of nginx, as far as nginx checks the
// files.
func TestDocumentedNginx(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"nginx", "envsubst", "openssl"} {
		if _, err := exec.LookPath(command); err != nil {
			t.Skipf("%s was not found", command)
		}
	}
	lines := blockLines(t, "../docs/guides/proxies.md", "<!-- not run: TestDocumentedNginx of e2e types it where nginx is installed -->")
	if len(lines) == 0 {
		t.Fatal("the page has no such block")
	}
	files, err := filepath.Abs("../config")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(files, filepath.Join(dir, "config")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", strings.Join(lines, "\n"))
	cmd.Dir, cmd.Env = dir, testcluster.Environment()
	testcluster.Bind(cmd)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "test is successful") {
		t.Errorf("%v\n%s", err, out)
	}
	site, err := os.ReadFile(filepath.Join(dir, "front/conf.d/tidemark.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(site)) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") && strings.Contains(line, "${FRONT_") {
			t.Errorf("not rendered: %s", line)
		}
	}
}
