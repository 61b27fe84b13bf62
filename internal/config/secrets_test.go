package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckSecretFile_ReadableByOthers_Warns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o400: false, 0o644: true, 0o604: true, 0o666: true} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if err := CheckSecretFile("publish.keys", file); (err != nil) != warned {
			t.Errorf("%04o: %v", mode, err)
		}
	}
	if err := CheckSecretFile("publish.keys", file+".missing"); err != nil {
		t.Error(err)
	}
}

// TestPrint_URLs_HideLogins: whatever key holds a URL, its login and the values of its query are
// not printed.
func TestPrint_URLs_HideLogins(t *testing.T) {
	cfg := Default()
	cfg.NATS.URL = "nats://alice:hunter2@a:4222,tls://hunter2@b:4222,bob:hunter2@c,nats://dave:hunter2/x?y@d:4222"
	cfg.Auth.JWT.JWKSURL = "https://carol:hunter2@issuer.example/keys?token=hunter2&kid=hunter2#x"
	cfg.Traces.Endpoint = "https://:hunter2@collector.example/v1/traces"
	var out strings.Builder
	if err := cfg.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("%s", out.String())
	}
	for _, want := range []string{"@a:4222,", "@b:4222", "@c", "@d:4222", "@issuer.example/keys?token=", "@collector.example/v1/traces"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
}
