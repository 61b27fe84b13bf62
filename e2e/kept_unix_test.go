//go:build unix

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/testcluster"
)

// Polls are complete responses, so that clients send the next one on the same connection. h2load and nginx decide
// by themselves whether a connection can be used again.
func TestKeptConnections_OtherClients_UseThemAgain(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			var flags []string
			if scheme == "https" {
				flags = append(flags, "--http.tls.self_signed")
			}
			s := serve(t, flags...)
			t.Run("h2load", func(t *testing.T) { testKeptByH2load(t, s) })
			t.Run("nginx", func(t *testing.T) { testKeptByNginx(t, s) })
		})
	}
}

const pollPath = "/events?user=42&from=new&wait=0"

// testKeptByH2load sends 2,000 requests over 10 connections of HTTP/1.1.
func testKeptByH2load(t *testing.T, s *service) {
	h2load, err := exec.LookPath("h2load")
	if err != nil {
		t.Skip("h2load was not found in PATH (package nghttp2-client)")
	}
	before := accepted(t, s)
	out, err := exec.Command(h2load, "--h1", "-n2000", "-c10", "-HAccept: application/json", s.url(pollPath)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "2000 succeeded, 0 failed, 0 errored, 0 timeout") || !strings.Contains(string(out), "status codes: 2000 2xx") {
		t.Errorf("%s", out)
	}
	if n := accepted(t, s) - before; n < 10 || n > 12 { // the test itself has a few
		t.Errorf("%d sockets were accepted, want 10", n)
	}
}

// testKeptByNginx sends 200 requests through a proxy that keeps connections to its upstream. nginx is a single process,
// because the test kills it, and workers would outlive their master.
func testKeptByNginx(t *testing.T, s *service) {
	nginx, err := testcluster.LookNginx()
	if err != nil {
		t.Skip(err)
	}
	dir, addr := t.TempDir(), freeAddr(t)
	config := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
    access_log off;
    client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s; uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
    upstream node { server %[2]s; keepalive 4; }
    server {
        listen %[3]s;
        location / { proxy_pass %[4]s://node; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host localhost; }
    }
}
`, dir, s.httpAddr, addr, s.scheme)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log := output(t, filepath.Join(dir, "log"))
	start(t, exec.Command(nginx, "-c", file, "-p", dir, "-e", dir+"/error.log"), log, log)
	eventually(t, "nginx answers", func() bool {
		return status("http://"+addr+"/healthz") == http.StatusOK
	})
	before := accepted(t, s)
	for i := range 200 {
		req, _ := http.NewRequest(http.MethodGet, "http://"+addr+pollPath, nil) //nolint:noctx // loopback
		req.Header.Set("Accept", "application/json")
		resp, err := direct.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"events":[]`) {
			t.Fatalf("request %d: %s %s, %v", i, resp.Status, body, err)
		}
	}
	if n := accepted(t, s) - before; n > 2 {
		t.Errorf("nginx opened %d connections for 200 requests", n)
	}
}

// accepted returns the number of sockets that the node has accepted.
func accepted(t *testing.T, s *service) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^tidemark_sockets_accepted_total (\S+)$`).FindStringSubmatch(fetch(t, s.url("/metrics")))
	if m == nil {
		t.Fatal("the metrics do not have the number of accepted sockets")
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := direct.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
