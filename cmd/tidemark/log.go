package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/logging"
	"github.com/tidemark/tidemark/internal/server"
)

// newLogger applies log.users to the whole log of the process.
func newLogger(cfg config.Config, level *logging.Level, w io.Writer) (*slog.Logger, error) {
	logger, err := logging.New(w, level, cfg.Log.Format)
	if err != nil {
		return nil, err
	}
	users := logging.Users{Mode: cfg.Log.Users, Subjects: userSubjects(cfg)}
	if cfg.Log.UsersKey != "" {
		key, err := os.ReadFile(cfg.Log.UsersKey)
		if err != nil {
			return nil, fmt.Errorf("log.users_key: %w", err)
		}
		// An empty file is a mistake, not a request for a random key.
		if users.Key = bytes.TrimSpace(key); len(users.Key) == 0 {
			return nil, fmt.Errorf("log.users_key: %s is empty; write a key into it, such as `head -c 32 /dev/urandom | base64`", cfg.Log.UsersKey)
		}
	}
	return users.Redact(logger)
}

// userSubjects returns the templates of subjects that contain users.
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
