//go:build unix

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"
	"golang.org/x/crypto/bcrypt"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/logging"
	"github.com/tidemark/tidemark/internal/testkit"
)

// TestHangup_LogLevelChanged_TakesEffect changes the configuration file of a running process.
func TestHangup_LogLevelChanged_TakesEffect(t *testing.T) {
	if atTerminal() {
		t.Skip("at a terminal SIGHUP ends the process")
	}
	file := filepath.Join(t.TempDir(), "tidemark.yaml")
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.BindFlags(flags)
	if err := flags.Parse([]string{"--config", file}); err != nil {
		t.Fatal(err)
	}
	level, err := logging.ParseLevel("info")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	logger, err := logging.New(&log, level, "json")
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	h := &hangup{level: level, logger: logger, flags: flags, running: config.Default()}
	stop := onHangup(func() { h.reload(t.Context()); read <- struct{}{} })
	for _, step := range []struct{ text, want string }{
		{"log: {level: debug}", "debug"}, {"log: {level: loud}", "debug"}, {"log: {level: debug}", "debug"}, {"log: {level: warn}", "warn"},
		{"log: {level: warn}\nsse: {heartbeat: 20s}", "warn"}, // needs a restart
	} {
		if err := os.WriteFile(file, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		select {
		case <-read:
		case <-time.After(20 * time.Second):
			t.Fatal("the signal has no effect")
		}
		if level.String() != step.want {
			t.Errorf("%s: the level is %s, want %s", step.text, level, step.want)
		}
	}
	stop()
	if n := strings.Count(log.String(), "\n"); n != 4 || !strings.Contains(log.String(), `"keys":"sse.heartbeat"`) {
		t.Errorf("%d lines: %s", n, log.String())
	}
}

// TestHangup_APIKeysChanged_TakeEffect adds an API key to the file of a running node.
func TestHangup_APIKeysChanged_TakeEffect(t *testing.T) {
	if atTerminal() {
		t.Skip("at a terminal SIGHUP ends the process")
	}
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	cfg, err := config.Load(config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cfg.HTTP.Addr, cfg.NATS.Embedded.Addr, cfg.NATS.Embedded.Dir, cfg.Publish.Keys = "127.0.0.1:0", "127.0.0.1:0", filepath.Join(dir, "nats"), keys
	if err := os.WriteFile(keys, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tickets := filepath.Join(dir, "tickets")
	if err := os.WriteFile(tickets, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.HTTP.TLS.SelfSigned, cfg.HTTP.TLS.TicketKeys = true, tickets // such a certificate has no file
	log := serveForHangup(t, cfg)
	hang := func(text, want string) {
		t.Helper()
		if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		awaitLog(t, log, want)
	}
	hang("no key", "publish.keys: ")
	hang("# none", `reload: files read again" keys="http.tls.ticket_keys, publish.keys"`)
}

// serveForHangup runs a node until the end of the test, and returns its log.
func serveForHangup(t *testing.T, cfg config.Config, args ...string) *testkit.Log {
	t.Helper()
	log := &testkit.Log{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	level, err := logging.ParseLevel("info")
	if err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.BindFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	h := &hangup{level: level, logger: logger, flags: flags, running: config.Default()}
	ctx, cancel := context.WithCancel(t.Context())
	stop := onHangup(func() { h.reload(ctx) })
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, cfg, logger, h, io.Discard) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		stop()
	})
	testkit.Eventually(t, 30*time.Second, "a node", func() bool { return h.node.Load() != nil })
	return log
}

// TestHangup_EmbeddedUsers_TakeEffect changes a password while clients are connected.
func TestHangup_EmbeddedUsers_TakeEffect(t *testing.T) {
	if atTerminal() {
		t.Skip("at a terminal SIGHUP ends the process")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "tidemark.yaml")
	addr, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	write := func(passwords map[string]string) {
		t.Helper()
		text := "http: {addr: '127.0.0.1:0'}\nadmin: {addr: 'off'}\nnats:\n  embedded:\n    addr: " + addr + "\n    dir: " + dir + "\n    users:\n"
		for name, password := range passwords {
			hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
			if err != nil {
				t.Fatal(err)
			}
			text += "      - {name: " + name + ", password_hash: '" + string(hash) + "', publish: ['>']}\n"
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(map[string]string{"orders": "first"})
	cfg, err := config.Load(config.Options{File: file, Serve: true})
	if err != nil {
		t.Fatal(err)
	}
	log := serveForHangup(t, cfg, "--config", file)
	login := func(user, password string) error {
		nc, err := nats.Connect(addr, nats.UserInfo(user, password))
		if err == nil {
			nc.Close()
		}
		return err
	}
	if err := login("orders", "first"); err != nil {
		t.Fatal(err)
	}
	write(map[string]string{"orders": "second", "billing": "third"})
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	awaitLog(t, log, "reload: users and files of the embedded server read again")
	if strings.Contains(log.String(), "reload: files read again") {
		t.Errorf("neither is configured: %s", log.String())
	}
	for user, password := range map[string]string{"orders": "second", "billing": "third"} {
		if err := login(user, password); err != nil {
			t.Errorf("%s: %v", user, err)
		}
	}
	if err := login("orders", "first"); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("the old password: %v", err)
	}
}

// awaitLog blocks until the log contains a text.
func awaitLog(t *testing.T, log *testkit.Log, want string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		text := log.String()
		if strings.Contains(text, want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%q is not in the log:\n%s", want, text)
		}
	}
}
