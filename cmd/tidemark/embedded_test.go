package main

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/config"
)

// examples are the blocks of a language in a section of a page, without the indent of a list.
func examples(t *testing.T, page, section, language string) (blocks []string) {
	t.Helper()
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(raw), "\n## "+section+"\n")
	if !found {
		t.Fatalf("%s has no section %q", page, section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	for _, block := range strings.Split(text, "```"+language+"\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		blocks = append(blocks, block)
	}
	return blocks
}

// Every example of the embedded server is one that `tidemark config check` accepts.
func TestDeployment_EmbeddedExamples_AreAccepted(t *testing.T) {
	const page, section = "../../docs/operate/nats.md", "With the embedded NATS server"
	dir := t.TempDir()
	writeCertificate(t, filepath.Join(dir, "nats.pem"), filepath.Join(dir, "nats.key"))
	confs, yamls := examples(t, page, section, "conf"), examples(t, page, section, "yaml")
	if len(confs) != 2 || len(yamls) != 2 {
		t.Fatalf("%d blocks of conf and %d of yaml; want 2 of each, for this test to know which belong together", len(confs), len(yamls))
	}
	write := func(name, text string) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(strings.ReplaceAll(text, "/etc/tidemark/", dir+"/")), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	check := func(yaml string) {
		t.Helper()
		cfg, err := config.Load(config.Options{File: write("tidemark.yaml", yaml), Environ: []string{}, Serve: true})
		if err == nil {
			err = checkEmbedded(cfg)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, yaml)
		}
	}
	check(yamls[0])
	write("nats.conf", confs[0])
	check(yamls[1])
	write("nats.conf", confs[1])
	check(strings.ReplaceAll(yamls[1], "account: EVENTS", `account: ""`))
}

// writeCertificate writes that of net/http/httptest.
func writeCertificate(t *testing.T, certFile, keyFile string) {
	t.Helper()
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	pair := srv.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
