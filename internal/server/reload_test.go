package server_test

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/pkg/auth"
)

// served returns the certificate that a new connection receives.
func (r *harness) served() string {
	r.t.Helper()
	c := r.dial(true).(*tls.Conn)
	defer c.Close()
	if err := c.Handshake(); err != nil {
		r.t.Fatal(err)
	}
	return string(c.ConnectionState().PeerCertificates[0].Raw)
}

func overwrite(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReload_Certificate_IsUsedByNewConnections renews a certificate. New connections receive the new one, and an
// open connection stays open.
func TestReload_Certificate_IsUsedByNewConnections(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM, keyPEM := generateCertificate(t)
	overwrite(t, cert, certPEM)
	overwrite(t, key, keyPEM)
	r := newTLSRig(t, func(o *server.Options) { o.HTTP.TLS.CertFile, o.HTTP.TLS.KeyFile = cert, key })
	first := r.served()

	r.base = "https" + strings.TrimPrefix(r.base, "http")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	stream, err := client.Get(r.base + me)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()

	certPEM, keyPEM = generateCertificate(t)
	overwrite(t, cert, certPEM) // the key still belongs to the old certificate
	if err := r.srv.Reload(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "http.tls.cert, http.tls.key: ") {
		t.Errorf("half renewed: %v", err)
	}
	if r.served() != first {
		t.Error("only one file renewed: the old certificate is not served any more")
	}
	overwrite(t, key, keyPEM)
	if err := r.srv.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.served() == first {
		t.Error("both files renewed: the old certificate is still served")
	}
	post, err := client.Post(r.base+"/publish", "application/json", strings.NewReader(`{"subject":"notifications.user.42","data":"after"}`))
	if err != nil {
		t.Fatal(err)
	}
	post.Body.Close()
	for text, buf := "", make([]byte, 4096); !strings.Contains(text, "data: after\n"); {
		n, err := stream.Body.Read(buf)
		if err != nil {
			t.Fatalf("the open connection ended: %v, after %q", err, text)
		}
		text += string(buf[:n])
	}
}

// TestReload_Keys_AreUsedByNewRequests adds and removes keys. A file that cannot be read keeps its old keys, and
// does not prevent the other files from being read.
func TestReload_Keys_AreUsedByNewRequests(t *testing.T) {
	dir := t.TempDir()
	keys, secret := filepath.Join(dir, "keys"), filepath.Join(dir, "secret")
	oldKey, oldLine, err := auth.NewAPIKey("old", "notifications.>")
	if err != nil {
		t.Fatal(err)
	}
	newKey, newLine, err := auth.NewAPIKey("new", "notifications.>")
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, keys, []byte(oldLine))
	overwrite(t, secret, []byte(strings.Repeat("another secret ", 4)))
	r := newHarness(t, func(o *server.Options) {
		byToken(t)(o)
		o.Auth.JWT.SecretFile = secret
		o.Publish.ByToken, o.Publish.KeysFile = false, keys
	})
	bearer := bearerOf(t, map[string]any{"sub": "42", "exp": 60})
	mayPublish := func(key string) bool {
		status, _ := r.post("/publish", `{"subject":"notifications.broadcast","data":"x"}`, "X-API-Key", key)
		return status == http.StatusOK
	}
	mayRead := func() bool {
		resp, err := http.Get(r.base + "/events?access_token=" + bearer)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	if !mayPublish(oldKey) || mayPublish(newKey) || mayRead() {
		t.Fatal("the keys at the start differ from those of the files")
	}

	overwrite(t, keys, []byte("a line that is none"))
	overwrite(t, secret, []byte(tokenSecret))
	if err := r.srv.Reload(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "publish.keys: ") || strings.Contains(err.Error(), "auth.jwt") {
		t.Errorf("a bad line: %v", err)
	}
	if !mayPublish(oldKey) || !mayRead() {
		t.Error("an invalid line: the previous keys do not work, or the secret was not read")
	}

	overwrite(t, keys, []byte(newLine))
	if err := os.Remove(secret); err != nil {
		t.Fatal(err)
	}
	if err := r.srv.Reload(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "auth.jwt: ") {
		t.Errorf("no secret: %v", err)
	}
	if mayPublish(oldKey) || !mayPublish(newKey) || !mayRead() {
		t.Error("no secret: the API keys were not read, or the previous secret does not work")
	}
}
