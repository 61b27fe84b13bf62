package doctor_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/doctor"
	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/pkg/auth"
)

func TestConfig_SeveralErrors_EachIsAProblem(t *testing.T) {
	opts := settings(t, "nats://127.0.0.1:1")
	opts.ConfigErr = errors.Join(errors.New("http.addr: wrong"), errors.Join(errors.New("sse.retry: too short"), errors.New("nats.url: odd")))
	report := doctor.Run(t.Context(), opts)
	for _, text := range []string{"http.addr: wrong", "sse.retry: too short", "nats.url: odd"} {
		want(t, report, doctor.Problem, "configuration", text)
	}
	opts.Usable = false
	report = doctor.Run(t.Context(), opts)
	want(t, report, doctor.Problem, "configuration", "nats.url: odd")
	want(t, report, doctor.Skipped, "configuration")
	if report.Status != doctor.Problem {
		t.Error(report.Status)
	}
}

func TestConfig_Files_AreExamined(t *testing.T) {
	opts := settings(t, "nats://127.0.0.1:1")
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte("nonsense\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(keys, 0o644); err != nil { // independent of the umask
		t.Fatal(err)
	}
	opts.Config.Publish.Keys = keys
	opts.Config.HTTP.TLS.Cert, opts.Config.HTTP.TLS.Key = certificateUntil(t, time.Now().Add(time.Hour))
	report := doctor.Run(t.Context(), opts)
	want(t, report, doctor.Problem, "configuration", "publish.keys")
	want(t, report, doctor.Warning, "configuration", keys, "chmod")
	want(t, report, doctor.Warning, "configuration", "expires at", "http.tls.cert")

	opts.Config.HTTP.TLS.Cert, opts.Config.HTTP.TLS.Key = certificateUntil(t, time.Now().Add(-time.Hour))
	want(t, doctor.Run(t.Context(), opts), doctor.Problem, "configuration", "expired", "http.tls.cert")
	opts.Config.HTTP.TLS.Key = keys
	opts.Config.HTTP.TLS.TicketKeys = keys
	report = doctor.Run(t.Context(), opts)
	want(t, report, doctor.Problem, "configuration", "cannot be used", "http.tls.key")
	want(t, report, doctor.Problem, "configuration", "chmod 600 "+keys, "http.tls.ticket_keys")
}

func TestConfig_IssuerIsAway_NamesItsURL(t *testing.T) {
	opts := settings(t, "nats://127.0.0.1:1")
	opts.JWT = &auth.JWTOptions{JWKSURL: opts.NodeURL + "/jwks.json"} // no server listens there
	want(t, doctor.Run(t.Context(), opts), doctor.Problem, "configuration", "keys of tokens", "auth.jwt.jwks_url")
	opts.JWT = &auth.JWTOptions{SecretFile: filepath.Join(t.TempDir(), "nowhere")}
	want(t, doctor.Run(t.Context(), opts), doctor.Problem, "configuration", "nowhere", "auth.jwt")
}

func TestStore_Directory_IsExamined(t *testing.T) {
	embedded := func(dir string) doctor.Options {
		opts := settings(t, "")
		opts.Config.NATS.Embedded.Dir = dir
		return opts
	}
	dir := t.TempDir()
	want(t, doctor.Run(t.Context(), embedded(filepath.Join(dir, "a", "b"))), doctor.OK, "store", "can be created")
	if _, err := os.Stat(filepath.Join(dir, "a")); !os.IsNotExist(err) {
		t.Errorf("the directory was created: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, doctor.Run(t.Context(), embedded(file)), doctor.Problem, "store", "not a directory", "nats.embedded.dir")
	large := embedded(filepath.Join(dir, "large"))
	large.Streams[0].MaxBytes = 1 << 60
	want(t, doctor.Run(t.Context(), large), doctor.Problem, "store", "three quarters", "streams.max_bytes")

	used := filepath.Join(dir, "used")
	srv, err := natsd.Start(t.Context(), natsd.Options{Addr: "127.0.0.1:0", Dir: used, SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	want(t, doctor.Run(t.Context(), embedded(used)), doctor.Problem, "store", "another process", "nats.embedded.dir")
	growing := embedded(used)
	growing.Streams[0].MaxBytes = 1 << 60
	want(t, doctor.Run(t.Context(), growing), doctor.Warning, "store", "may grow", "streams.max_bytes")
}

func TestOpenFiles_MoreThanTheLimit_NamesKeyAndLimit(t *testing.T) {
	opts := settings(t, "nats://127.0.0.1:1")
	opts.Config.Limits.Sockets.All, opts.Config.Limits.Connections = 1<<31, 1<<31
	report := doctor.Run(t.Context(), opts)
	if strings.Contains(lines(report, "open files"), "no limit") {
		t.Skip("there is no limit of open files here")
	}
	want(t, report, doctor.Problem, "open files", "limits.sockets", "LimitNOFILE")
	want(t, report, doctor.Problem, "open files", "limits.connections", "LimitNOFILE")
}

func TestNode_OtherProgram_IsNamed(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	opts := settings(t, "nats://127.0.0.1:1")
	opts.NodeURL = srv.URL
	want(t, doctor.Run(t.Context(), opts), doctor.Problem, "node", "not a node", "http.addr")
}

// With a running node, its store is locked, and its NATS port is open.
func TestNode_EmbeddedServer_IsExaminedBesideTheNode(t *testing.T) {
	dir := t.TempDir()
	opts := settings(t, "")
	opts.Embedded.URL = "nats://" + strings.TrimPrefix(opts.NodeURL, "http://")
	opts.Config.NATS.Embedded.Dir = dir
	var addr string
	base := startNode(t, func(o *server.Options) {
		addr = strings.TrimPrefix(opts.NodeURL, "http://")
		o.Embedded = natsd.Options{Addr: addr, Dir: dir, SyncInterval: time.Minute}
		o.Admin.Addr = "127.0.0.1:0"
		o.Node.Version = "1.2.3"
	})
	opts.NodeURL, opts.Version = base, "1.2.3"
	report := doctor.Run(t.Context(), opts)
	want(t, report, doctor.OK, "node", "is ready")
	want(t, report, doctor.OK, "nats", addr)
	want(t, report, doctor.OK, "stream NOTIFICATIONS")
	want(t, report, doctor.OK, "store", dir)
	wantNone(t, report, "configuration", "node", "store", "nats", "permissions", "stream", "clock")

	opts.Config.NATS.Embedded.Dir = t.TempDir()
	want(t, doctor.Run(t.Context(), opts), doctor.Warning, "store", "does not use")
	opts.AdminURL = base // an address for clients
	want(t, doctor.Run(t.Context(), opts), doctor.Warning, "node", "admin.addr")
}

// Only the admin listener provides these values.
func TestNode_OperatorsListener_HasLimitAndVersion(t *testing.T) {
	natsURL := startNATS(t)
	opts := settings(t, natsURL)
	admin := strings.TrimPrefix(opts.NodeURL, "http://")
	opts.NodeURL = startNode(t, func(o *server.Options) { o.NATS.URL, o.Admin.Addr, o.Node.Version = natsURL, admin, "1.2.3" })
	opts.AdminURL, opts.Version = "http://"+admin, "1.2.4"
	report := doctor.Run(t.Context(), opts)
	want(t, report, doctor.Warning, "node", "1.2.3", "1.2.4")
	if text := lines(report, "open files"); !strings.Contains(text, "of the running node") && !strings.Contains(text, "no limit") {
		t.Error(text)
	}
}

func TestExposure_TooMuchTrust_NamesKeys(t *testing.T) {
	opts := settings(t, "nats://127.0.0.1:1")
	opts.Config.HTTP.TrustedProxies = []string{"0.0.0.0/0"}
	opts.URL = "http://events.example.invalid/events"
	opts.Config.Dev = true
	report := doctor.Run(t.Context(), opts)
	want(t, report, doctor.Problem, "proxies and hosts", "everybody", "http.trusted_proxies")
	want(t, report, doctor.Warning, "proxies and hosts", "421", "http.hosts: add events.example.invalid")
	want(t, report, doctor.Problem, "configuration", "dev")
	want(t, report, doctor.Problem, "public url", "DNS")
}

// The servers accept connections and do not answer.
func TestRun_NothingAnswers_EndsInTime(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	u, err := url.Parse(silent.URL)
	if err != nil {
		t.Fatal(err)
	}
	opts := settings(t, "nats://"+u.Host)
	opts.NodeURL, opts.URL, opts.Timeout = silent.URL, silent.URL+"/events", time.Second
	ended := make(chan doctor.Report, 1)
	go func() { ended <- doctor.Run(t.Context(), opts) }()
	select {
	case report := <-ended:
		want(t, report, doctor.Problem, "node", "http.addr")
		want(t, report, doctor.Problem, "nats")
	case <-time.After(waitTimeout):
		t.Fatal("it did not end")
	}
}
