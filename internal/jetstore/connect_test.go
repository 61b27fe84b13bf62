package jetstore_test

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

	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/testkit"
)

// A process may start before NATS does, and outlives its restarts.
func TestConnectBeforeNATS(t *testing.T) {
	s := newStand(t)
	s.srv.Stop()
	book := new(testkit.Log)
	nc, err := jetstore.Connect(s.ctx(), jetstore.ConnectOptions{
		URL: "nats://" + s.opts.Addr, Name: "early", Logger: slog.New(slog.NewTextHandler(book, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(nc)
	if strings.Count(book.String(), "waiting for it") != 1 {
		t.Errorf("the log does not say that NATS is waited for: %s", book)
	}
	if err := nc.Publish("notifications.a", nil); err == nil {
		t.Error("a publish without a connection succeeds")
	}
	s.start()
	s.await("connected", nc.IsConnected)
	s.restart()
	s.await("it is said", func() bool { return strings.Count(book.String(), "connected to NATS again") == 1 })
	if strings.Count(book.String(), "is lost") != 1 || strings.Count(book.String(), `msg="connected to NATS"`) != 1 {
		t.Errorf("log: %s", book)
	}
}

func TestConnectWait(t *testing.T) {
	s := newStand(t)
	s.srv.Stop()
	ctx, cancel := context.WithCancel(s.ctx())
	cancel()
	_, err := jetstore.Connect(ctx, jetstore.ConnectOptions{URL: "nats://" + s.opts.Addr, Wait: true})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("waiting under an ended context: %v", err)
	}
	var later sync.WaitGroup
	later.Go(s.start)
	defer later.Wait()
	nc, err := jetstore.Connect(s.ctx(), jetstore.ConnectOptions{URL: "nats://" + s.opts.Addr, Wait: true})
	if err != nil || !nc.IsConnected() {
		t.Fatalf("waited: %v", err)
	}
	closeConn(nc)
}

// A command that a person waits for is told at once, and why.
func TestConnectOnce(t *testing.T) {
	s := newStand(t)
	nc, err := jetstore.Connect(s.ctx(), jetstore.ConnectOptions{URL: "nats://" + s.opts.Addr, Once: true})
	if err != nil || !nc.IsConnected() {
		t.Fatalf("once: %v", err)
	}
	closeConn(nc)
	s.srv.Stop()
	if _, err := jetstore.Connect(s.ctx(), jetstore.ConnectOptions{URL: "nats://" + s.opts.Addr, Once: true}); !errors.Is(err, nats.ErrNoServers) {
		t.Errorf("nobody listens: %v", err)
	}
	mute, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	ctx, cancel := context.WithDeadline(s.ctx(), time.Now())
	defer cancel()
	if _, err := jetstore.Connect(ctx, jetstore.ConnectOptions{URL: "nats://" + mute.Addr().String(), Once: true}); err == nil {
		t.Error("connected to what does not speak")
	}
}

func TestConnectInProcess(t *testing.T) {
	s := newStand(t)
	nc, err := jetstore.Connect(s.ctx(), jetstore.ConnectOptions{InProcess: s.srv.InProcess(), Wait: true})
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(nc)
	if err := nc.Flush(); err != nil {
		t.Error(err)
	}
}

func TestConnectBadOptions(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]jetstore.ConnectOptions{
		"nkey file":     {NkeyFile: missing},
		"empty nkey":    {NkeyFile: empty},
		"creds file":    {CredsFile: missing},
		"ca file":       {CAFile: missing},
		"cert file":     {CertFile: missing, KeyFile: missing},
		"two identites": {User: "u", Token: "t"},
		"url":           {URL: "nats://bad host:x"},
	} {
		nc, err := jetstore.Connect(t.Context(), o)
		if err == nil {
			t.Errorf("%s: accepted", name)
			nc.Close()
		}
	}
}

func TestConnectSlowConsumerIsLogged(t *testing.T) {
	s := newStand(t)
	book := new(testkit.Log)
	nc, err := jetstore.Connect(s.ctx(), jetstore.ConnectOptions{URL: s.srv.ClientURL(), Wait: true, Logger: slog.New(slog.NewTextHandler(book, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(nc)
	if _, err := nc.ChanSubscribe("full", make(chan *nats.Msg)); err != nil {
		t.Fatal(err)
	}
	if err := nc.Publish("full", nil); err != nil {
		t.Fatal(err)
	}
	s.await("the error is logged", func() bool { return strings.Count(book.String(), "slow consumer") > 0 })
}
