//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/tidemark/tidemark/config"
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
	stop := onHangup(func() { reloadLevel(level, logger, flags); read <- struct{}{} })
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
