//go:build unix

package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/tidemark/tidemark/config"
	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/pkg/server"
)

// TestHangupReadsTheLevel changes the file of a process that runs.
func TestHangupReadsTheLevel(t *testing.T) {
	if atTerminal() {
		t.Skip("at a terminal SIGHUP ends the process")
	}
	file := filepath.Join(t.TempDir(), "tidemark.yaml")
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.BindFlags(flags)
	if err := flags.Parse([]string{"--config", file}); err != nil {
		t.Fatal(err)
	}
	level, err := server.ParseLogLevel("info")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	logger, err := server.NewLogger(&log, level, "json")
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	h := &hangup{level: level, logger: logger, flags: flags}
	stop := onHangup(func() { h.reload(t.Context()); read <- struct{}{} })
	for _, step := range []struct{ text, want string }{
		{"log: {level: debug}", "debug"}, {"log: {level: loud}", "debug"}, {"log: {level: warn}", "warn"},
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
			t.Fatal("the signal was not heard")
		}
		if level.String() != step.want {
			t.Errorf("%s: the level is %s, want %s", step.text, level, step.want)
		}
	}
	stop()
	if n := strings.Count(log.String(), "\n"); n != 3 {
		t.Errorf("%d lines: %s", n, log.String())
	}
}

// TestHangupReadsKeys has a node read its API keys again.
func TestHangupReadsKeys(t *testing.T) {
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
	log := &testkit.Log{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	level, err := server.ParseLogLevel("info")
	if err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.BindFlags(flags)
	h := &hangup{level: level, logger: logger, flags: flags}
	ctx, cancel := context.WithCancel(t.Context())
	defer onHangup(func() { h.reload(ctx) })()
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, cfg, logger, h, io.Discard) }()
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
	for h.node.Load() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	hang("no key", "publish.keys: ")
	hang("# none", "were read again")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// awaitLog blocks until the log says it.
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
