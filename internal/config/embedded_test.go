package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"
)

func bcryptHash(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func TestEmbeddedUsers_InFile_AreLoaded(t *testing.T) {
	hash := bcryptHash(t, "s3cret")
	name := file(t, fmt.Sprintf(`
nats:
  embedded:
    addr: 0.0.0.0:4222
    users:
      - {name: orders, password_hash: '%s', publish: [notifications.>]}
      - {name: ops, password_hash: '%s', publish: [">"], subscribe: ["*.>", "a.*"]}
`, hash, strings.Replace(hash, "$2a", "$2y", 1)))
	for _, opts := range []Options{{File: name, Serve: true}, {File: name}} {
		cfg := load(t, opts)
		want := []EmbeddedUser{
			{Name: "orders", PasswordHash: hash, Publish: []string{"notifications.>"}, Subscribe: []string{}},
			{Name: "ops", PasswordHash: strings.Replace(hash, "$2a", "$2y", 1), Publish: []string{">"}, Subscribe: []string{"*.>", "a.*"}},
		}
		if diff := cmp.Diff(want, cfg.NATS.Embedded.Users); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if got := cfg.SecretFiles()[usersKey]; got != name {
			t.Errorf("the file with hashes is %q, want %q", got, name)
		}
		var out strings.Builder
		if err := cfg.Print(&out); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), hash[10:]) || !strings.Contains(out.String(), "password_hash: REDACTED") || !strings.Contains(out.String(), "notifications.>") {
			t.Errorf("printed:\n%s", out.String())
		}
		if err := yaml.Unmarshal([]byte(out.String()), new(any)); err != nil {
			t.Errorf("it prints no YAML: %v", err)
		}
	}
}

func TestEmbeddedUsers_CannotWork_NamesKeyAndHidesPassword(t *testing.T) {
	hash := bcryptHash(t, "s3cret")
	for name, c := range map[string]struct{ users, want string }{
		"plain text":       {`[{name: a, password_hash: hunter2, publish: [b]}]`, "nats.embedded.users[0].password_hash (from "},
		"another hash":     {`[{name: a, password_hash: '$6$hunter2$abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz', publish: [b]}]`, "is not a bcrypt hash"},
		"a cut hash":       {`[{name: a, password_hash: '` + hash[:40] + `', publish: [b]}]`, "is not a bcrypt hash"},
		"no minor version": {`[{name: a, password_hash: '` + strings.Replace(hash, "$2a", "$2", 1) + `x', publish: [b]}]`, "is not a bcrypt hash"},
		"a slow hash":      {`[{name: a, password_hash: '` + strings.Replace(hash, "$04$", "$14$", 1) + `', publish: [b]}]`, "its cost 14 takes longer"},
		"no hash":          {`[{name: a, publish: [b]}]`, "it is missing; make one with `tidemark nats-password`"},
		"no name":          {`[{password_hash: '` + hash + `', publish: [b]}]`, "nats.embedded.users[0].name"},
		"no subjects":      {`[{name: a, password_hash: '` + hash + `'}]`, `"a" has no permissions`},
		"a bad subject":    {`[{name: a, password_hash: '` + hash + `', publish: ['a..b']}]`, `"a..b" is not a subject`},
		"> in the middle":  {`[{name: a, password_hash: '` + hash + `', subscribe: ['a.>.b']}]`, `users[0].subscribe`},
		"twice":            {`[{name: a, password_hash: '` + hash + `', publish: [b]}, {name: a, password_hash: '` + hash + `', publish: [b]}]`, `"a" is used twice`},
		"unknown field":    {`[{name: a, password: hunter2, publish: [b]}]`, "users[0].password (from "},
		"not a list":       {`a:$2a$`, "it must be a list of mappings with name"},
		"not mappings":     {`['a:hunter2']`, "it must be a mapping with name"},
	} {
		_, err := Load(Options{File: file(t, "nats: {embedded: {users: "+c.users+"}}"), Environ: []string{}, Serve: true})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error has the password: %v", name, err)
		}
	}
	_, err := Load(Options{Environ: []string{"TIDEMARK_NATS_EMBEDDED_USERS=a:b"}})
	if err == nil || !strings.Contains(err.Error(), "in the file only") {
		t.Errorf("a variable: %v", err)
	}
}

func TestValidate_EmbeddedLogin_DependsOnMode(t *testing.T) {
	users := []EmbeddedUser{{Name: "a", PasswordHash: bcryptHash(t, "p"), Publish: []string{"b"}}}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"credentials for a file":        {func(c *Config) { c.NATS.Embedded.Config, c.NATS.Credentials = "f", "c" }, ""},
		"nkey for a file":               {func(c *Config) { c.NATS.Embedded.Config, c.NATS.NKey = "f", "s" }, ""},
		"authorities for commands":      {func(c *Config) { c.NATS.Embedded.Config, c.NATS.TLS.CA = "f", "ca.pem" }, ""},
		"domain of a hub":               {func(c *Config) { c.NATS.Embedded.Config, c.NATS.Domain = "f", "hub" }, ""},
		"account of a file":             {func(c *Config) { c.NATS.Embedded.Config, c.NATS.Embedded.Account = "f", "A" }, ""},
		"account without a file":        {func(c *Config) { c.NATS.Embedded.Account = "A" }, "nats.embedded.account: "},
		"account and login":             {func(c *Config) { c.NATS.Embedded.Config, c.NATS.Embedded.Account, c.NATS.User = "f", "A", "u" }, "nats.embedded.account: "},
		"users, the node needs none":    {func(c *Config) { c.NATS.Embedded.Users, c.NATS.User = users, "u" }, "nats.user: the embedded server requires no login"},
		"users beyond loopback":         {func(c *Config) { c.NATS.Embedded.Addr, c.NATS.Embedded.Users = ":4222", users }, ""},
		"a file beyond loopback":        {func(c *Config) { c.NATS.Embedded.Addr, c.NATS.Embedded.Config = ":4222", "f" }, ""}, // read later
		"not looked at with a server":   {func(c *Config) { c.NATS.URL, c.NATS.Embedded.Users = "nats://n", []EmbeddedUser{{}} }, ""},
		"an address that is no address": {func(c *Config) { c.NATS.Embedded.Addr = "4222" }, "nats.embedded.addr: "},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Default()
			tt.change(&cfg)
			expect(t, cfg.Validate(), tt.want)
		})
	}
	// A command logs in where the node needs no login.
	cfg := load(t, Options{Environ: []string{"NATS_USER=u", "NATS_PASSWORD=p"}})
	if cfg.NATS.User != "u" || cfg.NATS.Password != "p" || cfg.NATS.URL != "" {
		t.Errorf("%+v", cfg.NATS)
	}
	// The account is of the node, and the login of the environment of the command.
	embedded := []string{"TIDEMARK_NATS_EMBEDDED_CONFIG=" + os.DevNull, "TIDEMARK_NATS_EMBEDDED_ACCOUNT=A"}
	for _, login := range [][]string{{"NATS_USER=u", "NATS_PASSWORD=p"}, {"NATS_USER=token"}, {"NATS_CREDS=c"}, {"NATS_NKEY=s"}, {"TIDEMARK_NATS_USER=u"}} {
		cfg := load(t, Options{Environ: append(login, embedded...)})
		if !cfg.NATS.HasLogin() || cfg.NATS.Embedded.Account != "A" {
			t.Errorf("%q: %+v", login, cfg.NATS)
		}
	}
	if cfg := load(t, Options{Environ: append([]string{"NATS_USER=u", "NATS_PASSWORD=p"}, embedded...), Serve: true}); cfg.NATS.HasLogin() {
		t.Errorf("the node has the login of the environment: %+v", cfg.NATS)
	}
	if _, err := Load(Options{Environ: append([]string{"TIDEMARK_NATS_USER=u"}, embedded...), Serve: true}); err == nil || !strings.Contains(err.Error(), "nats.embedded.account") {
		t.Errorf("an account and a login of the node: %v", err)
	}
	if n := load(t, Options{Environ: []string{"NATS_URL=nats://e:4222", "TIDEMARK_NATS_EMBEDDED_CONFIG=" + os.DevNull}, Serve: true}).NATS; n.URL != "" {
		t.Errorf("NATS_URL replaces a configured embedded server: %+v", n)
	}
}
