package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/logging"
	"github.com/tidemark/tidemark/internal/server"
)

// onHangup calls f for each SIGHUP until stop, which waits for a running call. At a terminal the signal means
// that the terminal was closed, and still ends the process.
func onHangup(f func()) (stop func()) {
	if atTerminal() {
		return func() {}
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var caller sync.WaitGroup
	caller.Go(func() {
		for range hangups {
			f()
		}
	})
	return func() {
		signal.Stop(hangups)
		close(hangups) // Stop has waited for deliveries
		caller.Wait()
	}
}

func atTerminal() bool {
	return slices.ContainsFunc([]*os.File{os.Stdin, os.Stdout, os.Stderr}, func(f *os.File) bool {
		return term.IsTerminal(int(f.Fd()))
	})
}

// hangup reads the reloadable part of the configuration again on SIGHUP.
type hangup struct {
	level   *logging.Level
	logger  *slog.Logger
	flags   *pflag.FlagSet
	running config.Config                 // that the process started with
	node    atomic.Pointer[server.Server] // nil until the server is created
}

// reload applies log.level and nats.embedded.users of the present configuration, and no other key: feeds and
// limits apply to connected clients. It also reads the files of the first configuration again. It logs errors
// and keeps the previous values.
func (h *hangup) reload(ctx context.Context) {
	cfg, err := config.Load(config.Options{Flags: h.flags, Serve: true})
	if err != nil {
		h.logger.Error("reload: configuration cannot be loaded; log level and users of the embedded server are unchanged", "error", err)
	} else {
		h.setLevel(cfg.Log.Level)
		if keys := config.NeedRestart(h.running, cfg); len(keys) > 0 {
			h.logger.Warn("reload: changed keys have no effect until a restart", "keys", strings.Join(keys, ", "))
		}
	}
	node := h.node.Load()
	if node == nil {
		return // the server reads its files when it is created
	}
	if err == nil {
		node.SetEmbeddedUsers(embeddedUsers(cfg))
	}
	if err := node.Reload(ctx); err != nil {
		h.logger.Error("reload: files cannot be read; their values are unchanged", "error", err)
		return
	}
	if keys := node.Reloaded(); len(keys) > 0 {
		h.logger.Info("reload: files read again", "keys", strings.Join(keys, ", "))
	}
	if node.IsEmbedded() {
		h.logger.Info("reload: users and files of the embedded server read again")
	}
}

func (h *hangup) setLevel(text string) {
	level, err := logging.ParseLevel(text)
	if err != nil {
		h.logger.Error("reload: log level is invalid; unchanged", "error", err)
		return
	}
	from, before := h.level.String(), h.level.Level()
	if level.Level() == before {
		return
	}
	note := func() { h.logger.Info("reload: log level changed", "from", from, "to", level.String()) }
	if level.Level() > before { // the new level can hide the message
		note()
		_ = h.level.Set(text) // ParseLevel has accepted it
		return
	}
	_ = h.level.Set(text)
	note()
}
