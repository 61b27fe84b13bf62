package server_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

// runOptions returns the options of a node with every part that has goroutines, at two addresses of its own.
func runOptions(t *testing.T, url string) (opts server.Options, addrs []string) {
	t.Helper()
	for range 2 {
		addr, err := testkit.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, addr)
	}
	opts = options(t, url)
	opts.HTTP.Addr, opts.Admin.Addr = addrs[0], addrs[1]
	opts.Presence = server.PresenceOptions{Enabled: true, Bucket: "PRESENCE"}
	opts.Node.Micro = true
	opts.Logger = slog.New(slog.DiscardHandler)
	return opts, addrs
}

func wantReleased(t *testing.T, addrs []string) {
	t.Helper()
	for _, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Errorf("the node has stopped, but its address is in use: %v", err)
			continue
		}
		l.Close()
	}
}

// TestMain finds remaining goroutines.
func TestRun_ContextEndsAtAnyMoment_ReleasesEverything(t *testing.T) {
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	for i, cancelAt := range []string{"before", "during", "serving", "before", "during", "serving"} {
		opts, addrs := runOptions(t, url)
		srv, err := server.New(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if cancelAt == "before" {
			cancel()
		}
		ended := make(chan error, 1)
		go func() { ended <- srv.Run(ctx) }()
		if cancelAt == "serving" {
			testkit.Eventually(t, 20*time.Second, "the node to serve", func() bool {
				resp, err := http.Get("http://" + addrs[1] + "/healthz")
				if err != nil {
					return false
				}
				resp.Body.Close()
				return resp.StatusCode == http.StatusOK
			})
			http.DefaultClient.CloseIdleConnections()
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%d, %s: Run returned %v", i, cancelAt, err)
		}
		wantReleased(t, addrs)
	}
}

func TestRun_ListenerFails_ReturnsItsErrorAndReleasesEverything(t *testing.T) {
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	opts, addrs := runOptions(t, url)
	opts.HTTP.DrainDelay = time.Hour // is skipped, since load balancers cannot reach the node
	srv, err := server.New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(t.Context()) }()
	srv.BreakAdmin()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "serve admin.addr: ") {
		t.Errorf("Run returned %v", err)
	}
	wantReleased(t, addrs)
}

func TestNew_LaterStepFails_ReleasesEverything(t *testing.T) {
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	opts, addrs := runOptions(t, url)
	opts.HTTP.TLS.CertFile, opts.HTTP.TLS.KeyFile = "missing.pem", "missing.key" // read after the connections to NATS are made
	if _, err := server.New(t.Context(), opts); err == nil {
		t.Fatal("a node starts without its certificate")
	}
	wantReleased(t, addrs)
}
