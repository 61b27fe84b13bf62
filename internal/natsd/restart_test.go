package natsd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/lifecycle"
	"github.com/tidemark/tidemark/internal/testkit"
)

// After a restart because of a full disk the server has the same address and logins. It retries until its
// file is valid.
func TestStartAnew_FileWithUsers_NodeAndClientsLogInAgain(t *testing.T) {
	const right = `authorization { users: [ {user: a, password: p} ] }`
	file := filepath.Join(t.TempDir(), "nats.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(right)
	opts := Options{Addr: "127.0.0.1:0", Dir: t.TempDir(), ConfigFile: file}
	so, err := opts.resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := start(t.Context(), lifecycle.New(context.Background()), so, opts) // without heal: the test does its work
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Stop()
	url := srv.ClientURL()
	node, err := nats.Connect("", srv.InProcess(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.IgnoreAuthErrorAbort())
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	for i, broken := range []string{"accounts {", "server_name: open"} {
		srv.shutdown()
		write(broken)
		srv.restart(t.Context())
		if err := srv.Err(); err == nil || !strings.Contains(err.Error(), "nats.embedded.config") {
			t.Errorf("%s: %v", broken, err)
		}
		write(right)
		srv.restart(t.Context())
		if err := srv.Err(); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, 20*time.Second, fmt.Sprint("the node to log in again, ", i+1), func() bool {
			return node.IsConnected() && node.Stats().Reconnects == uint64(i+1)
		})
		client, err := nats.Connect(url, nats.UserInfo("a", "p"))
		if err != nil {
			t.Fatal(err)
		}
		client.Close()
		if client, err := nats.Connect(url); err == nil {
			client.Close()
			t.Error("a client without a login is let in")
		}
	}
}
