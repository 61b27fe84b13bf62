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

// The node and a client stay connected over a reload. The client of a removed user is disconnected.
func TestReload_UsersOfFile_TakeEffect(t *testing.T) {
	file := writeFile(t, `authorization { users: [ {user: a, password: p}, {user: b, password: p} ] }`)
	srv := start(t, natsd.Options{Dir: t.TempDir(), ConfigFile: file})
	js := node(t, srv)
	stays, goes := client(t, srv, "a", "p"), client(t, srv, "b", "p")
	rewriteFile(t, file, `authorization { users: [ {user: a, password: p}, {user: c, password: p} ] }`)
	if err := srv.Reload(); err != nil {
		t.Fatal(err)
	}
	if refused(t, srv.ClientURL(), nats.UserInfo("c", "p")) {
		t.Error("the new user is refused")
	}
	if !refused(t, srv.ClientURL(), nats.UserInfo("b", "p")) {
		t.Error("the removed user is let in")
	}
	testkit.Eventually(t, waitTimeout, "the client of the removed user to be disconnected", goes.IsClosed)
	if !stays.IsConnected() || stays.Stats().Reconnects != 0 {
		t.Error("a client whose user stays was disconnected")
	}
	if err := published(t, js, "s.1"); err != nil || js.Conn().Stats().Reconnects != 0 {
		t.Errorf("the node: %v, %d reconnects", err, js.Conn().Stats().Reconnects)
	}
}

// client connects without reconnects.
func client(t *testing.T, srv *natsd.Server, user, password string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(srv.ClientURL(), nats.UserInfo(user, password), nats.NoReconnect(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func TestReload_UsersOfOptions_TakeEffect(t *testing.T) {
	user := func(name, password string) natsd.User {
		return natsd.User{Name: name, PasswordHash: hash(t, password), Publish: []string{"s.>"}}
	}
	srv := start(t, natsd.Options{Dir: t.TempDir(), Users: []natsd.User{user("a", "p"), user("b", "p")}})
	js := node(t, srv)
	stays, goes := client(t, srv, "a", "p"), client(t, srv, "b", "p")
	srv.SetUsers([]natsd.User{user("b", "changed"), user("c", "p")})
	srv.SetUsers(append([]natsd.User{user("b", "changed")}, user("c", "p"), user("a", "p")))
	if err := srv.Reload(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		login   nats.Option
		refused bool
	}{"a": {nats.UserInfo("a", "p"), false}, "b before": {nats.UserInfo("b", "p"), true}, "b": {nats.UserInfo("b", "changed"), false}, "c": {nats.UserInfo("c", "p"), false}} {
		if got := refused(t, srv.ClientURL(), c.login); got != c.refused {
			t.Errorf("%s: refused %t", name, got)
		}
	}
	testkit.Eventually(t, waitTimeout, "the client with the password from before to be disconnected", goes.IsClosed)
	if !stays.IsConnected() {
		t.Error("a client whose user stays was disconnected")
	}
	if err := published(t, js, "s.1"); err != nil || js.Conn().Stats().Reconnects != 0 {
		t.Errorf("the node: %v, %d reconnects", err, js.Conn().Stats().Reconnects)
	}
	srv.SetUsers(nil)
	if err := srv.Reload(); err == nil || !strings.Contains(err.Error(), "restart") || !refused(t, srv.ClientURL()) {
		t.Errorf("a reload without users opens the server: %v", err)
	}
}

func TestReload_CannotChange_SaysSoAndKeepsEverything(t *testing.T) {
	const before = `authorization { users: [ {user: a, password: p} ] }` + "\n"
	file := writeFile(t, before+`jetstream { key: hunter2, cipher: aes }`)
	srv := start(t, natsd.Options{Dir: t.TempDir(), ConfigFile: file})
	js := node(t, srv)
	for name, c := range map[string]struct{ conf, want string }{
		"syntax":  {before + "accounts {", "nats.embedded.config: "},
		"key":     {before + `jetstream { key: hunter3, cipher: aes }`, "restart"},
		"name":    {before + `jetstream { key: hunter2, cipher: aes }, server_name: b`, "ServerName; restart"},
		"nothing": {`jetstream { key: hunter2, cipher: aes }`, "restart"},
	} {
		rewriteFile(t, file, c.conf)
		err := srv.Reload()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", name, err)
		}
		if refused(t, srv.ClientURL(), nats.UserInfo("a", "p")) || !refused(t, srv.ClientURL()) {
			t.Errorf("%s: the users changed", name)
		}
	}
	if err := published(t, js, "s.1"); err != nil {
		t.Error(err)
	}
}

// A reload by nats-server itself would remove the overrides, including the login of the node.
func TestReload_ByRequestToSystemAccount_IsRefused(t *testing.T) {
	srv := start(t, natsd.Options{Dir: t.TempDir(), Account: "A", ConfigFile: writeFile(t, `accounts { A { jetstream: enabled }, SYS { users: [ {user: s, password: p} ] } }, system_account: SYS`)})
	js := node(t, srv)
	sys := client(t, srv, "s", "p")
	answer, err := sys.Request("$SYS.REQ.SERVER."+sys.ConnectedServerId()+".RELOAD", nil, waitTimeout)
	if err != nil || !strings.Contains(string(answer.Data), "can only reload config when a file is provided") {
		t.Errorf("%v, %s", err, answer.Data)
	}
	if err := published(t, js, "s.1"); err != nil {
		t.Error(err)
	}
}

// A reload of nats-server would replace the logger.
func TestReload_LogDirectives_LogStaysThatOfNode(t *testing.T) {
	file, logFile := writeFile(t, "server_name: a"), filepath.Join(t.TempDir(), "nats.log")
	var out testkit.Log
	srv := start(t, natsd.Options{Dir: t.TempDir(), ConfigFile: file, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	rewriteFile(t, file, fmt.Sprintf("server_name: a\nlog_file: %q\ndebug: true\ntrace: true", logFile))
	if err := srv.Reload(); err != nil {
		t.Fatal(err)
	}
	node(t, srv)
	if _, err := os.Stat(logFile); err == nil {
		t.Error("log_file is written")
	}
	if !strings.Contains(out.String(), "directive=log_file") {
		t.Errorf("nothing is logged of the directive:\n%s", out.String())
	}
}
