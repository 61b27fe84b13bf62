package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/testcluster"
	"github.com/tidemark/tidemark/pkg/auth"
)

// TestDocumentsRun runs the sh blocks of docs below a comment `<!-- run -->`, each page against its own service.
// Every line must succeed; curl may end by its -m.
func TestDocumentsRun(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl was found: the documents are not tried")
	}
	pages, err := filepath.Glob("../docs/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, page := range pages {
		lines := blockLines(t, page, "<!-- run -->")
		ran += len(lines)
		if len(lines) == 0 {
			continue
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			d := &documentShell{t: t, operators: freeAddr(t), dir: t.TempDir()}
			flags := []string{"--admin.addr", d.operators}
			if strings.Contains(strings.Join(lines, "\n"), "$KEY") {
				flags = append(flags, "--presence.enabled", "--publish.keys", d.makeKey())
			}
			d.service = serve(t, flags...)
			for _, line := range lines {
				d.runLine(line)
			}
		})
	}
	if ran == 0 {
		t.Error("no page has a block behind <!-- run -->")
	}
}

// blockLines returns the commands of the blocks with a mark.
func blockLines(t *testing.T, page, mark string) (lines []string) {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(content), mark+"\n```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// documentShell runs the lines of a page.
type documentShell struct {
	t         *testing.T
	service   *service
	operators string // admin.addr
	dir       string
	key       string // the value of $KEY in pages; it may publish and list connections
}

// makeKey creates the API key, and returns the file for the node.
func (d *documentShell) makeKey() (file string) {
	d.t.Helper()
	key, line, err := auth.NewAPIKey("reader", "notifications.>", auth.PresenceRight)
	if err != nil {
		d.t.Fatal(err)
	}
	d.key, file = key, filepath.Join(d.dir, "keys")
	if err := os.WriteFile(file, []byte(line+"\n"), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return file
}

// shell is the environment of the lines: `tidemark` is the command that the tests built. curl fails on error
// responses, except for those about something that does not exist.
const shell = `
tidemark() { "$COMMAND_UNDER_TEST" "$@"; }
curl() {
	command curl -sS -o answer -w '%{http_code}' "$@" >status
	ended=$?
	cat answer
	case $(cat status) in 2*|404) return $ended ;; *) return 22 ;; esac
}
`

// runLine runs a line as written, with the addresses of the test.
func (d *documentShell) runLine(line string) {
	t, s := d.t, d.service
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	script := strings.NewReplacer("127.0.0.1:8080", s.httpAddr, config.DefaultAdminAddr, d.operators).Replace(withLongerTimeout(line))
	cmd := exec.CommandContext(ctx, "sh", "-c", shell+script)
	cmd.Dir = d.dir
	cmd.Env = append(testcluster.Environment(), "NATS_URL=nats://"+s.natsAddr,
		"TIDEMARK_NATS_EMBEDDED_ADDR="+s.natsAddr, "TIDEMARK_HTTP_ADDR="+s.httpAddr, "TIDEMARK_ADMIN_ADDR="+d.operators)
	cmd.Env = append(cmd.Env, "COMMAND_UNDER_TEST="+command(t), "KEY="+d.key, "NODE="+s.url(""))
	testcluster.Bind(cmd)
	out, err := cmd.CombinedOutput()
	if status := cmd.ProcessState.ExitCode(); status != 0 && (status != curlTimeout || !strings.Contains(line, " -m ")) {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	t.Logf("%s\n%s", line, out)
	expectGap(t, line, string(out))
}

// expectGap compares the output of lines with a position of another incarnation with the text of the pages.
func expectGap(t *testing.T, line, out string) {
	t.Helper()
	wanted := strings.Contains(line, "-zzzzzz") || strings.Contains(line, "-aaaaaa")
	if got := strings.Contains(out, "event: tidemark.gap") && strings.Contains(out, `"reason":"epoch"`); got != wanted {
		t.Errorf("%s: a gap of reason epoch: %v\n%s", line, got, out)
	}
}
