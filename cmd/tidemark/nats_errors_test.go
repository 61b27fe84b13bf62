package main

import (
	"crypto/tls"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/tidemark/tidemark/internal/config"
)

// secureNATS runs a server with TLS. Its certificate is that of [httptest], which names 127.0.0.1.
func secureNATS(t *testing.T, change func(*tls.Config)) (url, ca string) {
	t.Helper()
	web := httptest.NewTLSServer(nil)
	t.Cleanup(web.Close)
	tlsConfig := &tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12}
	change(tlsConfig)
	srv, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, TLSConfig: tlsConfig, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(srv.WaitForShutdown)
	t.Cleanup(srv.Shutdown)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return srv.ClientURL(), ca
}

func TestConnect_Certificates_NameWhatToChange(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*tls.Config)
		trust  bool
		host   string
		want   string
	}{
		"unknown authority":     {func(*tls.Config) {}, false, "127.0.0.1", "--nats.tls.ca or NATS_CA"},
		"another name":          {func(*tls.Config) {}, true, "localhost", "a name in the certificate of the server"},
		"no client certificate": {func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, true, "127.0.0.1", "NATS_CERT and NATS_KEY"},
	} {
		t.Run(name, func(t *testing.T) {
			url, ca := secureNATS(t, c.change)
			cfg := config.Default()
			cfg.NATS.URL = strings.Replace(url, "127.0.0.1", c.host, 1)
			if c.trust {
				cfg.NATS.TLS.CA = ca
			}
			nc, err := connect(t.Context(), cfg)
			if err == nil {
				nc.Close()
				t.Fatal("connected")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "NATS_USER") {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
