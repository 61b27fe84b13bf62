package doctor_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/doctor"
	"github.com/tidemark/tidemark/internal/microservice"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/streams"
)

const waitTimeout = 30 * time.Second

// builtin is the stream of the default feed.
func builtin(t testing.TB) jetstream.StreamConfig {
	t.Helper()
	defs, err := streams.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return defs[0].Config
}

// settings returns the default configuration for a NATS server, with a node that is not running.
func settings(t testing.TB, url string) doctor.Options {
	t.Helper()
	addr, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	opts := doctor.Options{
		Config: config.Default(), Usable: true, Streams: []jetstream.StreamConfig{builtin(t)},
		NATS: natsconn.Options{URL: url}, NodeURL: "http://" + addr,
		RevocationStream: revocation.Stream, RevokeSubject: revocation.Subject, StatusSubject: microservice.StatusSubject,
		Timeout: waitTimeout,
	}
	opts.Config.NATS.URL, opts.Config.HTTP.Addr, opts.Config.SSE.Heartbeat = url, addr, time.Second
	return opts
}

// startNATS runs a NATS server until the test ends.
func startNATS(t testing.TB) string {
	t.Helper()
	srv, err := natsd.Start(t.Context(), natsd.Options{Addr: "127.0.0.1:0", Dir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	return srv.ClientURL()
}

func jetStream(t testing.TB, url string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

func createStream(t testing.TB, js jetstream.JetStream, cfg jetstream.StreamConfig) {
	t.Helper()
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// startNode runs a node with the feed of the default configuration, and returns its URL.
func startNode(t testing.TB, change func(*server.Options)) string {
	t.Helper()
	var subjects, allow []subject.Template
	for _, text := range config.Default().Feeds["notifications"].Subjects {
		subjects = append(subjects, template(t, text))
	}
	for _, text := range config.Default().Feeds["notifications"].Allow {
		allow = append(allow, template(t, text))
	}
	opts := server.Options{
		HTTP:    server.HTTPOptions{Addr: "127.0.0.1:0", ShutdownTimeout: 5 * time.Second},
		Streams: []jetstream.StreamConfig{builtin(t)},
		Feeds:   []server.FeedOptions{{Name: "notifications", Paths: []string{"/events"}, Stream: "NOTIFICATIONS", Subjects: subjects, Allow: allow}},
		SSE:     server.SSEOptions{Heartbeat: time.Second},
	}
	change(&opts)
	srv, err := server.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	t.Cleanup(sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	}))
	base := "http://" + srv.Addr().String()
	testkit.Eventually(t, waitTimeout, "the node is ready", func() bool {
		resp, err := http.Get(base + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return base
}

func template(t testing.TB, text string) subject.Template {
	t.Helper()
	tmpl, err := subject.ParseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

// lines returns the findings of checks with a name prefix as one text.
func lines(r doctor.Report, prefix string) string {
	var text strings.Builder
	for _, f := range r.Findings {
		if strings.HasPrefix(f.Check, prefix) {
			fmt.Fprintf(&text, "%s %s: %s | %s\n", f.Status, f.Check, f.Detail, f.Change)
		}
	}
	return text.String()
}

// want fails unless a finding has the status and all texts, in its detail or its remedy.
func want(t testing.TB, r doctor.Report, status doctor.Status, checkName string, parts ...string) {
	t.Helper()
	for _, f := range r.Findings {
		all := f.Status == status && strings.HasPrefix(f.Check, checkName)
		for _, part := range parts {
			all = all && strings.Contains(f.Detail+" | "+f.Change, part)
		}
		if all {
			if (status == doctor.Problem || status == doctor.Warning) && f.Change == "" && checkName != "configuration" {
				t.Errorf("%q does not say what to change", f.Detail)
			}
			return
		}
	}
	t.Errorf("no %s of %q has %q:\n%s", status, checkName, parts, lines(r, ""))
}

// wantNone fails if a check has a warning or a problem.
func wantNone(t testing.TB, r doctor.Report, checkNames ...string) {
	t.Helper()
	for _, f := range r.Findings {
		for _, name := range checkNames {
			if strings.HasPrefix(f.Check, name) && (f.Status == doctor.Problem || f.Status == doctor.Warning) {
				t.Errorf("%s: %s: %s", f.Check, f.Status, f.Detail)
			}
		}
	}
}
