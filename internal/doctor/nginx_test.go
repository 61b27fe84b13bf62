package doctor_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/doctor"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

// startNginx runs nginx with lines for its location, and returns its URL.
func (p public) startNginx(t *testing.T, location string) string {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed")
	}
	addr, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf := fmt.Sprintf(`daemon off; master_process off; pid nginx.pid; error_log stderr error;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {
    listen %s;
    location / { proxy_pass %s; %s }
  }
}`, addr, p.node, location)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var log testkit.Log
	cmd := exec.CommandContext(t.Context(), program, "-p", dir, "-c", file)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	testkit.Eventually(t, waitTimeout, "nginx answers", func() bool {
		resp, err := http.Get("http://" + addr + "/healthz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return true
	})
	t.Cleanup(func() { t.Log(strings.TrimSpace(log.String())) })
	return "http://" + addr + "/events"
}

// modern speaks HTTP/1.1 to the node. By HTTP/1.0, which older versions of nginx speak unless configured
// otherwise, a response has no chunks, and nginx with proxy_buffering passes on full buffers alone.
const modern = `proxy_http_version 1.1; proxy_set_header Connection ""; `

// TestURL_Nginx_NamesDirective has the defects of real configurations.
func TestURL_Nginx_NamesDirective(t *testing.T) {
	t.Parallel()
	const heartbeat = 2 * time.Second
	p := startPublic(t, func(o *server.Options) { o.SSE.Heartbeat = heartbeat })
	for name, c := range map[string]struct {
		location string
		status   doctor.Status
		parts    []string
	}{
		"as documented":  {modern + "proxy_buffering off; proxy_read_timeout 45s;", doctor.OK, []string{"next bytes"}},
		"buffers":        {"proxy_ignore_headers X-Accel-Buffering;", doctor.Problem, []string{"proxy_buffering off", "X-Accel-Buffering"}},
		"compresses":     {modern + "proxy_buffering off; gzip on; gzip_types text/event-stream; gzip_min_length 0; gzip_http_version 1.0; gzip_proxied any;", doctor.Warning, []string{"gzip off"}},
		"reads too long": {modern + "proxy_buffering off; proxy_read_timeout 1500ms;", doctor.Problem, []string{"proxy_read_timeout"}},
		"adds a header":  {modern + "proxy_buffering off; add_header Access-Control-Allow-Origin *;", doctor.Problem, []string{"add_header Access-Control-Allow-Origin"}},
		"expires":        {modern + "proxy_buffering off; proxy_hide_header Cache-Control; add_header Cache-Control public;", doctor.Problem, []string{"Cache-Control"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := p.settings(t, p.startNginx(t, c.location))
			opts.Config.SSE.Heartbeat = heartbeat
			report := doctor.Run(t.Context(), opts)
			want(t, report, c.status, "public url", c.parts...)
			if c.status == doctor.OK {
				wantNone(t, report, "public url")
			}
		})
	}
}
