package natsconn_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natstest"
	"github.com/tidemark/tidemark/internal/testkit"
)

// A process may start before NATS, and continues after NATS restarts.
func TestConnect_BeforeNATS_ConnectsLater(t *testing.T) {
	s := natstest.New(t)
	s.Server.Stop()
	logged := new(testkit.Log)
	nc, err := natsconn.Connect(s.Ctx(), natsconn.Options{
		URL: "nats://" + s.Opts.Addr, Name: "early", Logger: slog.New(slog.NewTextHandler(logged, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer natstest.CloseConn(nc)
	if strings.Count(logged.String(), "connecting in the background") != 1 {
		t.Errorf("the log does not say that NATS is waited for: %s", logged)
	}
	if err := nc.Publish("notifications.a", nil); err == nil {
		t.Error("a publish without a connection succeeds")
	}
	s.Start()
	s.Await("connected", nc.IsConnected)
	s.Restart()
	s.Await("the reconnect is logged", func() bool { return strings.Count(logged.String(), "nats: reconnected") == 1 })
	if strings.Count(logged.String(), "nats: connection lost") != 1 || strings.Count(logged.String(), `msg="nats: connected"`) != 1 {
		t.Errorf("log: %s", logged)
	}
}

func TestConnect_Wait_BlocksUntilConnected(t *testing.T) {
	s := natstest.New(t)
	s.Server.Stop()
	ctx, cancel := context.WithCancel(s.Ctx())
	cancel()
	_, err := natsconn.Connect(ctx, natsconn.Options{URL: "nats://" + s.Opts.Addr, Wait: true})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("waiting under an ended context: %v", err)
	}
	var later sync.WaitGroup
	later.Go(s.Start)
	defer later.Wait()
	nc, err := natsconn.Connect(s.Ctx(), natsconn.Options{URL: "nats://" + s.Opts.Addr, Wait: true})
	if err != nil || !nc.IsConnected() {
		t.Fatalf("waited: %v", err)
	}
	natstest.CloseConn(nc)
}

func TestConnect_Once_ReturnsCause(t *testing.T) {
	s := natstest.New(t)
	nc, err := natsconn.Connect(s.Ctx(), natsconn.Options{URL: "nats://" + s.Opts.Addr, Once: true})
	if err != nil || !nc.IsConnected() {
		t.Fatalf("once: %v", err)
	}
	natstest.CloseConn(nc)
	s.Server.Stop()
	if _, err := natsconn.Connect(s.Ctx(), natsconn.Options{URL: "nats://" + s.Opts.Addr, Once: true}); !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("nobody listens: %v", err)
	}
	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections and sends nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	ctx, cancel := context.WithDeadline(s.Ctx(), time.Now())
	defer cancel()
	if _, err := natsconn.Connect(ctx, natsconn.Options{URL: "nats://" + mute.Addr().String(), Once: true}); err == nil {
		t.Error("connected to what does not speak")
	}
}

func TestConnect_InProcess_Connects(t *testing.T) {
	s := natstest.New(t)
	nc, err := natsconn.Connect(s.Ctx(), natsconn.Options{InProcess: s.Server.InProcess(), Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	defer natstest.CloseConn(nc)
	if err := nc.Flush(); err != nil {
		t.Error(err)
	}
}

func TestConnect_BadOptions_Fails(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]natsconn.Options{
		"nkey file":     {NkeyFile: missing},
		"empty nkey":    {NkeyFile: empty},
		"creds file":    {CredsFile: missing},
		"ca file":       {CAFile: missing},
		"cert file":     {CertFile: missing, KeyFile: missing},
		"two identites": {User: "u", Token: "t"},
		"url":           {URL: "nats://bad host:x"},
	} {
		nc, err := natsconn.Connect(t.Context(), o)
		if err == nil {
			t.Errorf("%s: accepted", name)
			nc.Close()
		}
	}
}

func TestConnect_SlowConsumer_IsLogged(t *testing.T) {
	s := natstest.New(t)
	logged := new(testkit.Log)
	nc, err := natsconn.Connect(s.Ctx(), natsconn.Options{URL: s.Server.ClientURL(), Wait: true, Logger: slog.New(slog.NewTextHandler(logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer natstest.CloseConn(nc)
	if _, err := nc.ChanSubscribe("full", make(chan *nats.Msg)); err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish("full", nil); err != nil {
		t.Fatal(err)
	}
	s.Await("the error is logged", func() bool { return strings.Count(logged.String(), "slow consumer") > 0 })
}
