package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/logging"
	"github.com/tidemark/tidemark/internal/memlimit"
	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/server"
)

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve feeds over HTTP, with an embedded NATS server unless nats.url is set",
		Example: `  tidemark serve --dev
  tidemark serve --config tidemark.yaml --http.addr :8080
  tidemark serve --nats.url nats://nats.example.com:4222 --nats.credentials tidemark.creds`,
		Args: arguments(cobra.NoArgs),
	}
	return configuredAs(config.Options{Serve: true}, cmd, func(cmd *cobra.Command, _ []string, cfg config.Config) error {
		level, err := logging.ParseLevel(cfg.Log.Level)
		if err != nil {
			return fmt.Errorf("log.level: %w", err)
		}
		logger, err := newLogger(cfg, level, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		logNATSSource(logger, cfg.NATS)
		memlimit.SetGCPercent()
		memlimit.SetFromControlGroup(logger)
		warnOfSecrets(cfg, logger)
		for _, warning := range cfg.Warnings() {
			logger.Warn("config: setting has no effect; ignored", "error", warning)
		}
		memlimit.Check(logger, memoryBudget(cfg))
		h := &hangup{level: level, logger: logger, flags: cmd.Flags(), running: cfg}
		defer onHangup(func() { h.reload(cmd.Context()) })() // without a handler SIGHUP ends the process
		return serve(cmd.Context(), cfg, logger, h, cmd.OutOrStdout())
	})
}

// warnOfSecrets logs the files with secrets that every user of the machine can read.
func warnOfSecrets(cfg config.Config, logger *slog.Logger) {
	warn := func(key, file string) {
		if err := config.CheckSecretFile(key, file); err != nil {
			logger.Warn("config: file with a secret is readable by all users of the machine", "error", err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(cfg.SecretFiles())) {
		warn(key, cfg.SecretFiles()[key])
	}
	if cfg.NATS.URL != "" || cfg.NATS.Embedded.Config == "" {
		return
	}
	for _, file := range natsd.SecretFiles(cfg.NATS.Embedded.Config) {
		warn("nats.embedded.config", file)
	}
}

func serve(ctx context.Context, cfg config.Config, logger *slog.Logger, h *hangup, stdout io.Writer) error {
	opts, err := serverOptions(cfg, logger)
	if err != nil {
		return err
	}
	opts.LogLevel = h.level
	srv, err := server.New(ctx, opts)
	if err != nil {
		return err
	}
	h.node.Store(srv)
	if err := srv.WriteBanner(stdout); err != nil {
		logger.Warn("serve: hints cannot be printed; serving without them", "error", err)
	}
	return srv.Run(ctx)
}
