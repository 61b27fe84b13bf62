package main

import (
	"bytes"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSubscribe_CAOfTheServer_Connects trusts the certificate of a server with --ca, as its host name requires.
func TestSubscribe_CAOfTheServer_Connects(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: hi\nid: 1-k7f3q9\n\n")
	}))
	t.Cleanup(srv.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(url string) (string, error) {
		var out bytes.Buffer
		cmd := newSubscribe()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetOut(&out)
		cmd.SetErr(io.Discard)
		cmd.SetArgs([]string{url, "--ca", ca, "--count", "1"})
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	if out, err := run(srv.URL); err != nil || out != "1-k7f3q9 message hi\n" {
		t.Errorf("with the authority: %q, %v", out, err)
	}
	other := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	if _, err := run(other); err == nil || !strings.Contains(err.Error(), "use a host name of the certificate in the URL") {
		t.Errorf("with another host name: %v", err)
	}
}
