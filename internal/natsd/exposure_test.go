package natsd_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/testkit"
)

// openFiles accept a client without a login; closedFiles do not.
var openFiles = map[string]string{
	"nothing":               `server_name: a`,
	"JetStream":             `jetstream { domain: a }`,
	"no_auth_user":          `authorization { users: [ {user: a, password: p} ] }, no_auth_user: a`,
	"the system's account":  `accounts { SYS { users: [ {user: s, password: p} ] } }, system_account: SYS`,
	"$SYS":                  `accounts { $SYS { users: [ {user: s, password: p} ] } }`,
	"an empty block":        `authorization { }`,
	"a list without a user": `authorization { users: [] }`,
	"one without password":  `authorization { user: a }`,
	"an empty password":     `authorization { user: a, password: "" }`,
	"users without":         `authorization { users: [ {user: b, password: p}, {user: a} ] }`,
	"an empty token":        `authorization { token: "" }`,
}

var closedFiles = map[string]string{
	"one user":     `authorization { user: a, password: p }`,
	"a token":      `authorization { token: p }`,
	"users":        `authorization { users: [ {user: a, password: p} ] }`,
	"an nkey":      `authorization { users: [ {nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4} ] }`,
	"system, auth": `accounts { SYS { users: [ {user: s, password: p} ] } }, system_account: SYS, authorization { users: [ {user: a, password: p} ] }`,
}

// letsIn reports whether a server accepts a client with the name of the user but without a secret.
func letsIn(t *testing.T, url string) bool {
	t.Helper()
	for _, login := range [][]nats.Option{nil, {nats.UserInfo("a", "")}} {
		if !refused(t, url, login...) {
			return true
		}
	}
	return false
}

// The result for a file agrees with the behaviour of the server.
func TestReach_EveryFile_RefusedExactlyWhereServerLetsStrangersIn(t *testing.T) {
	for open, files := range map[bool]map[string]string{true: openFiles, false: closedFiles} {
		for name, conf := range files {
			t.Run(name, func(t *testing.T) {
				file := writeFile(t, conf)
				srv := start(t, natsd.Options{Dir: t.TempDir(), ConfigFile: file})
				if got := letsIn(t, srv.ClientURL()); got != open || srv.NeedsLogin() == open {
					t.Errorf("a stranger is let in: %t, want %t; needs a login %t", got, open, srv.NeedsLogin())
				}
				for _, addr := range []string{"0.0.0.0:4222", ":4222", "10.0.0.1:4222", "[::]:4222", "example.com:4222"} {
					opts := natsd.Options{Dir: t.TempDir(), ConfigFile: file, Addr: addr}
					err := opts.Check()
					if (err != nil) != open {
						t.Errorf("%s: %v, open %t", addr, err, open)
					}
					if err != nil && (!strings.HasPrefix(err.Error(), "nats.embedded.addr: ") || !strings.Contains(err.Error(), "--insecure")) {
						t.Errorf("%s: %v", addr, err)
					}
					opts.Insecure = true
					if err := opts.Check(); err != nil {
						t.Errorf("%s, insecure: %v", addr, err)
					}
				}
			})
		}
	}
}

func TestReach_OtherListeners_NeedLoginBeyondLoopback(t *testing.T) {
	login := "authorization { user: a, password: p }\n"
	for conf, refused := range map[string]string{
		"listen: '0.0.0.0:4222'":                                                  "(the server)",
		"leafnodes { listen: '0.0.0.0:7422' }":                                    "(leafnodes)",
		"leafnodes { port: 7422 }":                                                "(leafnodes)",
		"leafnodes { listen: '127.0.0.1:7422' }":                                  "",
		"leafnodes { port: 7422, authorization { user: l, password: p } }":        "",
		"leafnodes { remotes: [ { url: 'nats://hub:7422' } ] }":                   "",
		"websocket { port: 8080, no_tls: true }":                                  "(websocket)",
		"websocket { listen: 'localhost:8080', no_tls: true }":                    "",
		"cluster { name: c, port: 6222 }":                                         "(cluster)",
		"cluster { name: c, port: 6222, authorization { user: r, password: p } }": "",
		"gateway { name: g, port: 7222 }":                                         "(gateway)",
		"mqtt { port: 1883 }, server_name: m":                                     "(mqtt)",
		login + "leafnodes { port: 7422 }":                                        "",
		login + "websocket { port: 8080, no_tls: true }":                          "",
		login + "mqtt { port: 1883 }, server_name: m":                             "",
		login + "cluster { name: c, port: 6222 }":                                 "(cluster)",
		login + "gateway { name: g, port: 7222 }":                                 "(gateway)",
		login + "http_port: 8222":                                                 "",
		"authorization { users: [ {user: a} ] }, listen: '0.0.0.0:4222'":          "(the server)",
		login + "listen: '0.0.0.0:4222'":                                          "",
	} {
		err := natsd.Options{Dir: t.TempDir(), ConfigFile: writeFile(t, conf)}.Check()
		if (err != nil) != (refused != "") || err != nil && (!strings.Contains(err.Error(), refused) || !strings.HasPrefix(err.Error(), "nats.embedded.config: ")) {
			t.Errorf("%s: %v, want %q", conf, err, refused)
		}
	}
}

func TestReach_ReadableByOthers_IsWarnedOf(t *testing.T) {
	for host, warned := range map[string]bool{"0.0.0.0": true, "127.0.0.1": false} {
		free, err := testkit.FreeAddr()
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := strings.Cut(free, ":")
		var out testkit.Log
		start(t, natsd.Options{
			Dir: t.TempDir(), Addr: host + ":0", Logger: slog.New(slog.NewTextHandler(&out, nil)),
			ConfigFile: writeFile(t, "authorization { user: a, password: p }\nhttp: '"+host+":"+port+"'"),
		})
		for _, want := range []string{"passwords can be read on the network", "monitoring has no login"} {
			if strings.Contains(out.String(), want) != warned {
				t.Errorf("%s: want %q %t in\n%s", host, want, warned, out.String())
			}
		}
	}
}
