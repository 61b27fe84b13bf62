package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/tidemark/tidemark/config"
	"github.com/tidemark/tidemark/pkg/server"
)

// newLogger writes users as log.users says, wherever a part of the process names one.
func newLogger(cfg config.Config, level *server.LogLevel, w io.Writer) (*slog.Logger, error) {
	logger, err := server.NewLogger(w, level, cfg.Log.Format)
	if err != nil {
		return nil, err
	}
	users := server.LogUsers{Mode: cfg.Log.Users, Subjects: userSubjects(cfg)}
	if cfg.Log.UsersKey != "" {
		key, err := os.ReadFile(cfg.Log.UsersKey)
		if err != nil {
			return nil, fmt.Errorf("log.users_key: %w", err)
		}
		// An empty file is no wish for a key that nobody knows.
		if users.Key = bytes.TrimSpace(key); len(users.Key) == 0 {
			return nil, fmt.Errorf("log.users_key: %s is empty; write a key into it, such as `head -c 32 /dev/urandom | base64`", cfg.Log.UsersKey)
		}
	}
	return users.Logger(logger)
}

// userSubjects are the templates of subjects in which users are named.
func userSubjects(cfg config.Config) []string {
	subjects := []string{server.UserSubject}
	for _, f := range cfg.Feeds {
		subjects = append(append(subjects, f.Subjects...), f.Allow...)
	}
	if cfg.Presence.Events != "" {
		subjects = append(subjects, cfg.Presence.Events+".connected.{user}", cfg.Presence.Events+".disconnected.{user}")
	}
	slices.Sort(subjects)
	return slices.Compact(subjects)
}

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

// reloadLevel takes log.level, and nothing else, from the configuration as it is now. One that
// is wrong changes nothing.
func reloadLevel(level *server.LogLevel, logger *slog.Logger, flags *pflag.FlagSet) {
	cfg, err := config.Load(config.Options{Flags: flags})
	if err != nil {
		logger.Error("the level of the log stays: the configuration cannot be read again", "error", err)
		return
	}
	before := level.String()
	if err := level.Set(cfg.Log.Level); err != nil {
		logger.Error("the level of the log stays", "error", err)
		return
	}
	logger.Warn("the level of the log was read again", "from", before, "to", level.String())
}
