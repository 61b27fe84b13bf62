package server_test

import (
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/testkit"
)

// TestTLS_FailedHandshakes_AreLogged checks the form of the log line: net/http would write its own to stderr.
func TestTLS_FailedHandshakes_AreLogged(t *testing.T) {
	cert, key, _ := selfSigned(t)
	url, _ := startNATS(t, "127.0.0.1:0", t.TempDir())
	var log testkit.Log
	opts := options(t, url)
	opts.HTTP.TLS.CertFile, opts.HTTP.TLS.KeyFile = cert, key
	opts.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r := startNode(t, opts)
	if c, err := tls.Dial("tcp", r.srv.Addr().String(), nil); err == nil {
		c.Close()
		t.Fatal("an unknown certificate was trusted")
	}
	r.eventually("the failed handshake in the log", func() bool {
		return strings.Contains(log.String(), `level=DEBUG msg="http: TLS handshake error`)
	})
}
