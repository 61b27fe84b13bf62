package natsd_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/testkit"
)

func TestConfigFile_CannotWork_NamesKeyFileAndLine(t *testing.T) {
	h := hash(t, "p")
	users := []natsd.User{{Name: "u", PasswordHash: h, Publish: []string{"s.>"}}}
	for name, c := range map[string]struct {
		conf string
		opts natsd.Options
		want []string
	}{
		"syntax":               {"port: 4222\naccounts {\n  A { users: [ }\n}", natsd.Options{}, []string{"nats.embedded.config: ", "nats.conf:3"}},
		"unknown directive":    {"\n\nprot: 4222", natsd.Options{}, []string{"nats.embedded.config: ", "nats.conf:3:", `unknown field "prot"`}},
		"wrong kind":           {"port: many", natsd.Options{}, []string{"nats.embedded.config: ", "nats.conf:1:"}},
		"missing certificate":  {"tls {\n cert_file: nosuch.pem, key_file: nosuch.key }", natsd.Options{}, []string{"nats.embedded.config: ", "nosuch.pem"}},
		"missing include":      {"include nosuch.conf", natsd.Options{}, []string{"nats.embedded.config: ", "nats.conf", "nosuch.conf"}},
		"missing variable":     {"\nport: $NOSUCH_PORT", natsd.Options{}, []string{"nats.embedded.config: ", "nats.conf", "line 2", "NOSUCH_PORT"}},
		"two errors":           {"prot: 1\nhsot: a", natsd.Options{}, []string{"nats.conf:1:", "nats.conf:2:"}},
		"accounts, none named": {"accounts { B { jetstream: enabled }, A { jetstream: enabled } }", natsd.Options{}, []string{"nats.embedded.account: ", "(A, B)"}},
		"unknown account":      {"accounts { A { jetstream: enabled } }", natsd.Options{Account: "X"}, []string{"nats.embedded.account: ", `"X"`, "A"}},
		"system account":       {"accounts { A {}, SYS {} }, system_account: SYS", natsd.Options{Account: "SYS"}, []string{"nats.embedded.account: ", "system account"}},
		"a user twice":         {"authorization { users: [ {user: u, password: p} ] }", natsd.Options{Users: users}, []string{"nats.embedded.users: ", `"u"`}},
		"users, own login":     {"accounts { A { jetstream: enabled } }", natsd.Options{Users: users, NodeLogin: true}, []string{"nats.embedded.users: "}},
		"plain password":       {"", natsd.Options{Users: []natsd.User{{Name: "u", PasswordHash: "hunter2"}}}, []string{"nats.embedded.users: ", "bcrypt", "tidemark nats-password"}},
		"wrong permission":     {"", natsd.Options{Users: []natsd.User{{Name: "u", PasswordHash: h, Publish: []string{"a..b"}}}}, []string{"permissions", `"u"`}},
		"domain twice":         {"jetstream { domain: 'a.b' }", natsd.Options{}, []string{"domain"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.opts.Dir, c.opts.Addr = t.TempDir(), "127.0.0.1:0"
			if c.conf != "" {
				c.opts.ConfigFile = writeFile(t, c.conf)
			}
			srv, err := natsd.Start(t.Context(), c.opts)
			if err == nil {
				srv.Stop()
				t.Fatal("it started")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not mention %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
	err := natsd.Options{Dir: t.TempDir(), ConfigFile: "nosuch.conf"}.Check()
	if err == nil || !strings.Contains(err.Error(), "nats.embedded.config: open nosuch.conf") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestConfigFile_Overridden_IsLoggedWithPlaceAndKey(t *testing.T) {
	dir := t.TempDir()
	conf := writeFile(t, fmt.Sprintf(`
listen: "127.0.0.1:1"
server_name: harbour
max_payload: 2MB
log_file: "%s/nats.log"
debug: true
jetstream {
  store_dir: "/nosuch"
  sync_interval: "3m"
  domain: edge
}
`, dir))
	var out testkit.Log
	srv := start(t, natsd.Options{Dir: dir, ConfigFile: conf, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	for directive, want := range map[string]string{
		"listen": conf + ":2 value=127.0.0.1:1 by=nats.embedded.addr", "log_file": conf + ":5 ", "debug": conf + ":6 value=true",
		"jetstream.store_dir": conf + ":8 value=/nosuch by=nats.embedded.dir", "jetstream.sync_interval": conf + ":9 value=3m by=nats.embedded.sync",
	} {
		if want = "directive=" + directive + " at=" + want; !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "directive of nats.embedded.config is overridden"); n != 5 {
		t.Errorf("%d directives are logged, want 5:\n%s", n, out.String())
	}
	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if nc.ConnectedServerName() != "harbour" || nc.MaxPayload() != 2<<20 {
		t.Errorf("what nothing overrides does not count: server %s, payload %d", nc.ConnectedServerName(), nc.MaxPayload())
	}
	js := connect(t, "", srv.InProcess())
	if info, err := js.AccountInfo(t.Context()); err != nil || info.Domain != "edge" {
		t.Errorf("domain %v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "jetstream")); err != nil {
		t.Errorf("the store is not in nats.embedded.dir: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "nats.log")); err == nil {
		t.Error("log_file is written")
	}
}

func TestConfigFile_JetStreamOff_IsOn(t *testing.T) {
	for _, conf := range []string{"jetstream: disabled", "jetstream: false", "jetstream { enabled: false }"} {
		var out testkit.Log
		srv := start(t, natsd.Options{Dir: t.TempDir(), ConfigFile: writeFile(t, conf), Logger: slog.New(slog.NewTextHandler(&out, nil))})
		node(t, srv)
		if !strings.Contains(out.String(), "directive of nats.embedded.config is overridden") {
			t.Errorf("%s: nothing is logged:\n%s", conf, out.String())
		}
	}
}

// Without a configured address the server listens on loopback. With an empty key, the address of the file
// applies.
func TestAddr_FromFile_WhereKeyIsEmpty(t *testing.T) {
	free, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(free, ":")
	for conf, want := range map[string]string{
		"port: " + port: "127.0.0.1:" + port, "host: localhost": "localhost:4222", "": "127.0.0.1:4222",
		"listen: '127.0.0.1:" + port + "'": "127.0.0.1:" + port, "port: 7, host: '10.0.0.1'": "10.0.0.1:7",
	} {
		addr, err := natsd.Options{ConfigFile: writeFile(t, conf+"\nserver_name: a")}.ClientAddr()
		if err != nil || addr != want {
			t.Errorf("%s: %s, %v; want %s", conf, addr, err, want)
		}
	}
	srv, err := natsd.Start(t.Context(), natsd.Options{Dir: t.TempDir(), ConfigFile: writeFile(t, "port: "+port)})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Stop()
	if want := "nats://127.0.0.1:" + port; srv.ClientURL() != want {
		t.Errorf("%s, want %s", srv.ClientURL(), want)
	}
}
