package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/logging"
	"github.com/tidemark/tidemark/internal/server"
)

// onHangup calls f for each SIGHUP until stop, which waits for a call that is under way. At a
// terminal the signal means that the terminal was closed, and ends the process as ever.
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
		close(hangups) // Stop has waited for a delivery
		caller.Wait()
	}
}

func atTerminal() bool {
	return slices.ContainsFunc([]*os.File{os.Stdin, os.Stdout, os.Stderr}, func(f *os.File) bool {
		return term.IsTerminal(int(f.Fd()))
	})
}

// hangup is what SIGHUP has read again.
type hangup struct {
	level  *logging.Level
	logger *slog.Logger
	flags  *pflag.FlagSet
	node   atomic.Pointer[server.Server] // once there is one
}

// reload takes log.level and nats.embedded.users from the configuration as it is now, and no other
// key: what a feed or a limit is holds for clients that are connected. The files that the configuration named at the
// start are read again too. What is wrong is logged and stays as it was.
func (h *hangup) reload(ctx context.Context) {
	cfg, err := config.Load(config.Options{Flags: h.flags, Serve: true})
	if err != nil {
		h.logger.Error("the configuration cannot be read again; the level of the log and the users of the embedded server stay", "error", err)
	} else {
		h.setLevel(cfg.Log.Level)
	}
	node := h.node.Load()
	if node == nil {
		return // it will read its files
	}
	if err == nil {
		node.SetEmbeddedUsers(embeddedUsers(cfg))
	}
	if err := node.Reload(ctx); err != nil {
		h.logger.Error("not everything was read again; what could not be stays as it was", "error", err)
		return
	}
	h.logger.Warn("certificate and keys were read again")
}

func (h *hangup) setLevel(level string) {
	before := h.level.String()
	if err := h.level.Set(level); err != nil {
		h.logger.Error("the level of the log stays", "error", err)
		return
	}
	h.logger.Warn("the level of the log was read again", "from", before, "to", h.level.String())
}
