package server_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/tidemark/tidemark/internal/health"
	"github.com/tidemark/tidemark/internal/microservice"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

// queryServices sends a request and collects a number of answers.
func queryServices(t *testing.T, nc *nats.Conn, subject string, answers int) (all [][]byte) {
	t.Helper()
	inbox, err := nc.SubscribeSync(nats.NewInbox())
	if err == nil {
		err = nc.PublishRequest(subject, inbox.Subject, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range answers {
		m, err := inbox.NextMsg(20 * time.Second)
		if err != nil || m.Header.Get("Status") != "" {
			t.Fatalf("%s: %v, %v", subject, m, err)
		}
		all = append(all, m.Data)
	}
	return all
}

// TestMicro_TwoNodes_AnswerTheNATSCLI sends the requests of the nats CLI about services.
func TestMicro_TwoNodes_AnswerTheNATSCLI(t *testing.T) {
	announced := func(name string) func(*server.Options) {
		return func(o *server.Options) { o.Node = server.NodeOptions{Name: name, Version: "abc/def", Micro: true} }
	}
	a := newHarness(t, announced("a"))
	opts := options(t, a.nc.ConnectedUrl())
	announced("b")(&opts)
	b := startNode(t, opts)
	b.awaitReady()

	var nodes []string
	for _, text := range queryServices(t, a.nc, "$SRV.INFO.tidemark", 2) {
		var info micro.Info
		if err := json.Unmarshal(text, &info); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, info.Metadata["node"])
		if info.Name != microservice.Name || info.Version != "0.0.0+abc-def" || info.Metadata["feeds"] != "notifications" ||
			!strings.HasPrefix(info.Metadata["http"], "127.0.0.1:") || len(info.Endpoints) != 1 || info.Endpoints[0].Subject != microservice.StatusSubject {
			t.Errorf("%s", text)
		}
	}
	if slices.Sort(nodes); !slices.Equal(nodes, []string{"a", "b"}) {
		t.Errorf("nodes %q", nodes)
	}
	for _, text := range queryServices(t, a.nc, microservice.StatusSubject, 2) {
		var health health.Report
		if err := json.Unmarshal(text, &health); err != nil || health.Status != "ok" || health.Node == "" {
			t.Errorf("%s, %v", text, err)
		}
	}
	for _, text := range queryServices(t, a.nc, "$SRV.STATS.tidemark", 2) {
		if !strings.Contains(string(text), `"connections":0`) {
			t.Errorf("%s", text)
		}
	}
	b.stop()
	queryServices(t, a.nc, "$SRV.PING", 1)
}

// TestMicro_NATSRestarts_IsAnnouncedAgain checks that the node answers after the restart of a NATS server.
func TestMicro_NATSRestarts_IsAnnouncedAgain(t *testing.T) {
	addr, dir := freeAddr(t), t.TempDir()
	url, stopNATS := startNATS(t, addr, dir)
	opts := options(t, url)
	opts.Node = server.NodeOptions{Name: "a", Micro: true}
	r := startNode(t, opts)
	r.connect(url)
	r.awaitReady()
	queryServices(t, r.nc, "$SRV.PING.tidemark", 1)
	stopNATS()
	r.eventually("not ready without NATS", func() bool { return r.status("/readyz") == http.StatusServiceUnavailable })
	startNATS(t, addr, dir)
	r.awaitReady()
	r.eventually("the client is connected again", r.nc.IsConnected)
	queryServices(t, r.nc, "$SRV.PING.tidemark", 1)
	queryServices(t, r.nc, microservice.StatusSubject, 1)
}

// TestMicro_NATSStartsLater_IsAnnounced starts the node before the NATS server.
func TestMicro_NATSStartsLater_IsAnnounced(t *testing.T) {
	addr := freeAddr(t)
	opts := options(t, "nats://"+addr)
	opts.Node = server.NodeOptions{Micro: true}
	r := startNode(t, opts)
	url, _ := startNATS(t, addr, t.TempDir())
	r.awaitReady()
	r.connect(url)
	queryServices(t, r.nc, "$SRV.PING.tidemark", 1)
}

// TestMicro_NotPermitted_IsStopped checks that a node without the permission logs that once, and serves.
func TestMicro_NotPermitted_IsStopped(t *testing.T) {
	g := startGuarded(t, nil)
	g.createStream(testStream())
	log := &testkit.Log{}
	r := g.node(userRead, func(o *server.Options) {
		o.Node.Micro, o.Publish.Enabled = true, false
		o.Logger = slog.New(slog.NewTextHandler(log, nil))
		o.NATS.Logger = o.Logger
	})
	r.awaitReady()
	r.eventually("the log line", func() bool { return strings.Contains(log.String(), "not announced") })
	g.stop()
	r.eventually("not ready without NATS", func() bool { return r.status("/readyz") == http.StatusServiceUnavailable })
	g.start()
	r.awaitReady()
	r.listen("/events?user=42", "").want("tidemark.open")
	r.stop()
	text := log.String()
	if n := strings.Count(text, "not announced"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, text)
	}
	if !strings.Contains(text, "level=INFO msg=\"micro: service not permitted") || !strings.Contains(text, "$SRV.>") || strings.Contains(text, "nats: error without a request") {
		t.Errorf("the log:\n%s", text)
	}
}
