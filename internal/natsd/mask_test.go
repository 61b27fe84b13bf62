package natsd_test

import (
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/natsd"
)

// An error contains the file and the line, but no value that may be a secret.
func TestConfigFile_SecretInWrongPlace_ErrorDoesNotRepeatIt(t *testing.T) {
	for name, conf := range map[string]string{
		"for permissions":         `authorization { users: [ {user: a, password: p, permissions: S3CRETp} ] }`,
		"default permissions":     `authorization { default_permissions: S3CRETp }`,
		"a user":                  `authorization { users: [ S3CRETp ] }`,
		"users":                   `authorization { users: S3CRETp }`,
		"an account":              `accounts { A: S3CRETp }`,
		"an authorization":        `authorization: S3CRETp`,
		"a list of passwords":     `authorization { user: a, password: [ S3CRETp ] }`,
		"a mapping of a password": `authorization { user: a, password: { S3CRETp: 1 } }`,
		"leafnodes":               `leafnodes { remotes: [ S3CRETp ] }`,
		"URL of a remote":         `leafnodes { remotes: [ { url: "nats://u:S3CRETp %zz@h:1" } ] }`,
		"URL of a route":          `cluster { name: c, port: 6222, routes: [ "nats://u:S3CRETp %zz@h:1" ] }`,
		"seed of a remote":        `leafnodes { remotes: [ { url: "nats://h:1", nkey: S3CRETp } ] }`,
		"a gateway":               `gateway { name: g, gateways: [ S3CRETp ] }`,
		"limits":                  `accounts { A { limits: S3CRETp } }`,
		"a variable":              `authorization { user: a, password: $S3CRETp }`,
		"users of leafnodes":      `leafnodes { authorization { users: S3CRETp } }`,
		"a mapping":               `accounts { A { mappings: S3CRETp } }`,
		"jetstream":               `jetstream { max_mem: S3CRETp }`,
		"tls":                     `tls: S3CRETp`,
	} {
		err := natsd.Options{Dir: t.TempDir(), ConfigFile: writeFile(t, conf)}.Check()
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if strings.Contains(err.Error(), "S3CRET") || !strings.Contains(err.Error(), "nats.conf") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The name of an environment variable is not a secret. It is needed to correct the file.
	err := natsd.Options{Dir: t.TempDir(), ConfigFile: writeFile(t, `authorization { user: a, password: $NO_SUCH_VARIABLE }`)}.Check()
	if err == nil || !strings.Contains(err.Error(), "NO_SUCH_VARIABLE") {
		t.Errorf("a variable that is not set: %v", err)
	}
}
