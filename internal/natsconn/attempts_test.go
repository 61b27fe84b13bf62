package natsconn_test

import (
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natstest"
	"github.com/tidemark/tidemark/internal/testkit"
)

// noEmptyErrors fails where a line of the log has an error without content.
func noEmptyErrors(t *testing.T, text string) {
	t.Helper()
	for _, bad := range []string{"error=<nil>", "error=null", "outbound buffer limit"} {
		if strings.Contains(text, bad) {
			t.Errorf("the log has %q: %s", bad, text)
		}
	}
}

func TestConnect_NoServer_LogsCauseOnce(t *testing.T) {
	s := natstest.New(t)
	s.Server.Stop()
	log := new(testkit.Log)
	nc, err := natsconn.Connect(s.Ctx(), natsconn.Options{URL: "nats://me:hush@" + s.Opts.Addr, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer natstest.CloseConn(nc)
	_ = nc.Publish("notifications.a", nil) // which leaves "outbound buffer limit" behind
	s.Await("the cause is logged", func() bool { return strings.Contains(log.String(), "connection refused") })
	s.Start()
	s.Await("connected", nc.IsConnected)
	if n := strings.Count(log.String(), "nats: cannot connect"); n != 1 {
		t.Errorf("the cause is logged %d times: %s", n, log)
	}
	if strings.Contains(log.String(), "hush") {
		t.Errorf("the password is logged: %s", log)
	}
	noEmptyErrors(t, log.String())
}

func TestConnect_WrongLogin_LogsCause(t *testing.T) {
	srv := natstest.StartServer(t, func(o *server.Options) { o.Username, o.Password = "u", "p" })
	log := new(testkit.Log)
	nc, err := natsconn.Connect(t.Context(), natsconn.Options{URL: srv.ClientURL(), User: "u", Password: "wrong", Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer natstest.CloseConn(nc)
	(&natstest.Harness{T: t, Conn: nc}).Await("the cause is logged", func() bool {
		return strings.Contains(strings.ToLower(log.String()), "authorization violation")
	})
	noEmptyErrors(t, log.String())
}

// A failed TLS handshake is logged also where the server starts after the process.
func TestConnect_ServerLaterRefusesHandshake_LogsCause(t *testing.T) {
	addr, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	log := new(testkit.Log)
	nc, err := natsconn.Connect(t.Context(), natsconn.Options{URL: "nats://" + addr, TLSFirst: true, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer natstest.CloseConn(nc)
	plain, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	go func() {
		for {
			c, err := plain.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("INFO {}\r\n"))
			_ = c.Close()
		}
	}()
	(&natstest.Harness{T: t, Conn: nc}).Await("the cause is logged", func() bool { return strings.Contains(log.String(), "tls: ") })
	noEmptyErrors(t, log.String())
}
