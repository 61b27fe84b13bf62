package web_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/tidemark/tidemark/pkg/web"
)

// maxClient is the size limit of the compressed library, in bytes.
const maxClient = 6 << 10

func get(t *testing.T, h http.Handler, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestClientIsSmall(t *testing.T) {
	w := get(t, web.Client(), "Accept-Encoding", "br, gzip")
	if got := w.Header().Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("Content-Encoding %q", got)
	}
	n := w.Body.Len()
	if n >= maxClient {
		t.Errorf("compressed it has %d bytes, want less than %d", n, maxClient)
	}
	unzip, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(unzip)
	plain := get(t, web.Client()).Body.Bytes()
	if err != nil || !bytes.Equal(content, plain) {
		t.Errorf("what is compressed is not what is served plain: %v", err)
	}
	if found := regexp.MustCompile(`\beval\b|\bFunction\(|\bimport\b`).Find(plain); found != nil {
		t.Errorf("it uses %s, which a Content-Security-Policy may forbid", found)
	}
	t.Logf("%d bytes, %d compressed", len(plain), n)
}

func TestClient_AnyOrigin_Allowed(t *testing.T) {
	w := get(t, web.Client())
	for name, want := range map[string]string{
		"Content-Type": "text/javascript; charset=utf-8", "Access-Control-Allow-Origin": "*",
		"Cross-Origin-Resource-Policy": "cross-origin", "Cache-Control": "public, max-age=300",
		"Vary": "Accept-Encoding", "Content-Encoding": "",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	tag := w.Header().Get("ETag")
	if again := get(t, web.Client(), "If-None-Match", tag); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("the same tag: %d with %d bytes", again.Code, again.Body.Len())
	}
	if other := get(t, web.Client(), "If-None-Match", tag, "Accept-Encoding", "gzip"); other.Code != http.StatusOK {
		t.Errorf("the tag of another encoding: %d", other.Code)
	}
	if refused := get(t, web.Client(), "Accept-Encoding", "gzip;q=0, br"); refused.Header().Get("Content-Encoding") != "" {
		t.Error("gzip was sent to a client that refuses it")
	}
	if types := get(t, web.ClientTypes()); !bytes.Equal(types.Body.Bytes(), read(t, "client/tidemark.d.ts")) {
		t.Error("the declarations are others than in the package")
	}
}

// The npm package has the version of the newest release, or 0.0.0 before the first one, and the same
// licence.
func TestPackage(t *testing.T) {
	var p struct {
		Version, License string
		Dependencies     map[string]string
		Files            []string
	}
	if err := json.Unmarshal(read(t, "client/package.json"), &p); err != nil {
		t.Fatal(err)
	}
	want := "0.0.0"
	if m := regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+[^\]]*)\]`).FindSubmatch(read(t, "../../CHANGELOG.md")); m != nil {
		want = string(m[1])
	}
	if p.Version != want || p.License != "Apache-2.0" || len(p.Dependencies) > 0 {
		t.Errorf("package.json has version %s (the changelog: %s), licence %s, dependencies %v", p.Version, want, p.License, p.Dependencies)
	}
	for _, name := range p.Files {
		read(t, filepath.Join("client", name))
	}
	if !bytes.Equal(read(t, "client/LICENSE"), read(t, "../../LICENSE")) {
		t.Error("the package's LICENSE is another than the repository's")
	}
}

// nodeTimeout limits the tests in Node. They take some seconds on an idle machine.
const nodeTimeout = 3 * time.Minute

// TestClientInNode runs the library's own tests, on its source and on the minified file.
func TestClientInNode(t *testing.T) {
	t.Parallel()
	node := findNode(t)
	served := filepath.Join(t.TempDir(), "client.mjs")
	if err := os.WriteFile(served, get(t, web.Client()).Body.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	tests, err := filepath.Glob("client/test/*.test.js")
	if err != nil || len(tests) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	for name, file := range map[string]string{"source": "", "served": "file://" + served} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), nodeTimeout)
			defer cancel()
			cmd := exec.CommandContext(ctx, node, append([]string{"--test"}, tests...)...)
			if file != "" {
				cmd.Env = append(os.Environ(), "TIDEMARK_CLIENT="+file)
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("node --test: %v\n%s", err, out)
			}
			t.Logf("%s", regexp.MustCompile(`(?m)^# (pass|fail) .*`).FindAll(out, -1))
		})
	}
}

// findNode skips the test if there is no Node.js with a test runner and fetch. With CI=true it fails
// instead.
func findNode(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err == nil {
		out, _ := exec.Command(path, "--version").Output()
		if regexp.MustCompile(`^v(1[89]|[2-9]\d)\.`).Match(out) {
			return path
		}
		t.Logf("%s is %s", path, out)
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no Node.js 18 or newer was found, and CI=true")
	}
	t.Skip("no Node.js 18 or newer was found: the client library's own tests do not run")
	return ""
}
