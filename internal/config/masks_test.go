package config

import (
	"strings"
	"testing"
)

// Errors name the key and the file, and do not repeat a possible secret.
func TestLoad_SecretOfWrongType_ErrorDoesNotRepeatIt(t *testing.T) {
	for name, c := range map[string]struct{ yaml, want string }{
		"list for a token":         {"nats: {url: n, token: [S3CRET]}", "nats.token (from "},
		"number for a password":    {"nats: {url: n, user: u, password: 53123321}", "nats.password (from "},
		"mapping for a password":   {"nats: {url: n, user: u, password: {S3CRET: 1}}", "nats.password (from "},
		"list for a URL":           {"nats: {url: ['nats://u:S3CRET@h']}", "nats.url (from "},
		"value for a section":      {"nats: S3CRET", "nats (from "},
		"value for embedded":       {"nats: {embedded: S3CRET}", "nats.embedded (from "},
		"list for a password hash": {"nats: {embedded: {users: [{name: a, password_hash: [S3CRET], publish: [b]}]}}", "password_hash (from "},
		"number for a hash":        {"nats: {embedded: {users: [{name: a, password_hash: 53123321, publish: [b]}]}}", "password_hash (from "},
		"an alias":                 {"nats: {url: n, token: *S3CRET}", "begins with *"},
		"a file of text":           {"S3CRET", "cannot unmarshal"},
	} {
		_, err := Load(Options{File: file(t, c.yaml), Environ: []string{}})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "S3CRET") || strings.Contains(err.Error(), "53123321") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
