package natsd_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/crypto/bcrypt"

	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/testkit"
)

const waitTimeout = 20 * time.Second

func writeFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "nats.conf")
	rewriteFile(t, name, text)
	return name
}

func rewriteFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func hash(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

// node connects like a node, and stores a stream.
func node(t *testing.T, srv *natsd.Server, opts ...nats.Option) jetstream.JetStream {
	t.Helper()
	js := connect(t, "", append(opts, srv.InProcess())...)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	return js
}

// refused reports whether the server rejects a login.
func refused(t *testing.T, url string, opts ...nats.Option) bool {
	t.Helper()
	nc, err := nats.Connect(url, opts...)
	if err == nil {
		nc.Close()
		return false
	}
	if !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("not a refusal: %v", err)
	}
	return true
}

// published reports whether a client may publish to a subject of the stream and receive the
// acknowledgement.
func published(t *testing.T, js jetstream.JetStream, subject string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := js.Publish(ctx, subject, nil)
	return err
}

func TestUsers_Login_PerPasswordAndPermission(t *testing.T) {
	srv := start(t, natsd.Options{Dir: t.TempDir(), Users: []natsd.User{
		{Name: "orders", PasswordHash: hash(t, "right"), Publish: []string{"s.orders.>"}},
		{Name: "ops", PasswordHash: strings.Replace(hash(t, "ops"), "$2a", "$2y", 1), Publish: []string{">"}, Subscribe: []string{">"}},
		{Name: "reader", PasswordHash: hash(t, "reader"), Subscribe: []string{"s.>", "_INBOX.>"}},
	}})
	if !srv.NeedsLogin() {
		t.Error("it reports that clients need no login")
	}
	node(t, srv)
	url := srv.ClientURL()
	for name, opts := range map[string][]nats.Option{
		"no login": nil, "wrong password": {nats.UserInfo("orders", "wrong")}, "unknown user": {nats.UserInfo("nobody", "right")},
		"the hash as password": {nats.UserInfo("orders", hash(t, "right"))}, "empty password": {nats.UserInfo("orders", "")}, "token": {nats.Token("right")},
	} {
		if !refused(t, url, opts...) {
			t.Errorf("%s: it is let in", name)
		}
	}
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})
	orders := connect(t, url, nats.UserInfo("orders", "right"), quiet)
	if err := published(t, orders, "s.orders.1"); err != nil {
		t.Errorf("orders cannot publish: %v", err)
	}
	if err := published(t, orders, "s.other.1"); err == nil {
		t.Error("orders can publish to a subject that is not its own")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := orders.DeleteStream(ctx, "S"); err == nil {
		t.Error("orders can delete the stream")
	}
	if err := published(t, connect(t, url, nats.UserInfo("reader", "reader"), quiet), "s.orders.2"); err == nil {
		t.Error("a reader can publish")
	}
	if err := published(t, connect(t, url, nats.UserInfo("ops", "ops")), "s.other.2"); err != nil {
		t.Errorf("ops cannot publish: %v", err)
	}
}

// The login of the node works in memory only, and is not one of the users.
func TestNodeLogin_EveryKindOfFile_NodeStoresAndStrangersDoNot(t *testing.T) {
	for name, c := range map[string]struct {
		conf   string
		opts   natsd.Options
		client nats.Option // that is accepted
	}{
		"one user":        {`authorization { user: a, password: p }`, natsd.Options{}, nats.UserInfo("a", "p")},
		"a token":         {`authorization { token: p }`, natsd.Options{}, nats.Token("p")},
		"a hashed token":  {`authorization { token: "` + hash(t, "p") + `" }`, natsd.Options{}, nats.Token("p")},
		"users":           {`authorization { users: [ {user: a, password: "` + hash(t, "p") + `"} ] }`, natsd.Options{}, nats.UserInfo("a", "p")},
		"accounts":        {`accounts { A { jetstream: enabled, users: [ {user: a, password: p} ] }, B { users: [ {user: b, password: p} ] } }`, natsd.Options{Account: "A"}, nats.UserInfo("b", "p")},
		"system account":  {`accounts { A { jetstream: enabled, users: [ {user: a, password: p} ] }, SYS { users: [ {user: s, password: p} ] } }, system_account: SYS`, natsd.Options{Account: "A"}, nats.UserInfo("s", "p")},
		"user and users":  {`authorization { user: a, password: p }`, natsd.Options{Users: []natsd.User{{Name: "u", PasswordHash: hash(t, "u"), Publish: []string{">"}}}}, nats.UserInfo("a", "p")},
		"token and users": {`authorization { token: p }`, natsd.Options{Users: []natsd.User{{Name: "u", PasswordHash: hash(t, "u"), Publish: []string{">"}}}}, nats.Token("p")},
		"users of an account": {`accounts { A { jetstream: enabled } }`,
			natsd.Options{Account: "A", Users: []natsd.User{{Name: "u", PasswordHash: hash(t, "u"), Publish: []string{">"}}}}, nats.UserInfo("u", "u")},
		"users beside the system's": {`accounts { SYS { users: [ {user: s, password: p} ] } }, system_account: SYS`,
			natsd.Options{Users: []natsd.User{{Name: "u", PasswordHash: hash(t, "u"), Publish: []string{">"}}}}, nats.UserInfo("u", "u")},
		"an auth callout": {`authorization { users: [ {user: c, password: p} ], auth_callout { issuer: ` + accountKey(t) + `, auth_users: [ c ] } }`, natsd.Options{}, nats.UserInfo("c", "p")},
	} {
		t.Run(name, func(t *testing.T) {
			c.opts.Dir, c.opts.ConfigFile = t.TempDir(), writeFile(t, c.conf)
			srv := start(t, c.opts)
			js := node(t, srv)
			if err := published(t, js, "s.1"); err != nil {
				t.Errorf("the node cannot publish: %v", err)
			}
			if refused(t, srv.ClientURL(), c.client) {
				t.Error("a client with the right login is refused")
			}
			if !srv.NeedsLogin() {
				t.Error("it reports that clients need no login")
			}
			nc, err := nats.Connect(srv.ClientURL(), nats.MaxReconnects(-1), nats.Timeout(5*time.Second))
			if err == nil {
				nc.Close()
				t.Error("a client without a login is let in")
			}
			// The key of the node over a socket: the server accepts it in memory only.
			var login nats.Options
			if err := srv.InProcess()(&login); err != nil {
				t.Fatal(err)
			}
			if nc, err := nats.Connect(srv.ClientURL(), nats.Nkey(login.Nkey, login.SignatureCB), nats.Timeout(5*time.Second)); err == nil {
				nc.Close()
				t.Error("the login of the node works from outside")
			}
		})
	}
}

func TestNodeLogin_OfItsOwn_CountsPerAccount(t *testing.T) {
	conf := writeFile(t, `accounts {
		A { jetstream: enabled, users: [ {user: node, password: p} ] }
		B { jetstream: enabled, users: [ {user: b, password: p} ] }
	}`)
	srv := start(t, natsd.Options{Dir: t.TempDir(), ConfigFile: conf, NodeLogin: true})
	node(t, srv, nats.UserInfo("node", "p"))
	if _, err := connect(t, srv.ClientURL(), nats.UserInfo("node", "p")).Stream(t.Context(), "S"); err != nil {
		t.Errorf("the account of the node has no stream: %v", err)
	}
	if _, err := connect(t, srv.ClientURL(), nats.UserInfo("b", "p")).Stream(t.Context(), "S"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("another account sees the stream of the node: %v", err)
	}
	if !refused(t, "", srv.InProcess()) {
		t.Error("the node is let in without its login")
	}
}

// Rejected logins cannot fill the log.
func TestLogins_ManyRefused_LogIsBounded(t *testing.T) {
	const attempts = 60
	var out testkit.Log
	srv := start(t, natsd.Options{Dir: t.TempDir(), Users: []natsd.User{{Name: "a", PasswordHash: hash(t, "p"), Publish: []string{">"}}}, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	for range attempts {
		if !refused(t, srv.ClientURL(), nats.UserInfo("a", "wrong")) {
			t.Fatal("it is let in")
		}
	}
	srv.Stop()
	if n := strings.Count(out.String(), "authentication error"); n < 1 || n > attempts/2 {
		t.Errorf("%d lines of %d refused logins:\n%s", n, attempts, out.String())
	}
}
