package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/internal/streambackup"
	"github.com/tidemark/tidemark/internal/streamdef"
	"github.com/tidemark/tidemark/internal/terminal"
	"github.com/tidemark/tidemark/streams"
)

func newStreamRestore() *cobra.Command {
	var asJSON, external bool
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Restore streams from a backup, with all nodes stopped",
		Long: `Restore the streams of a backup: one stream if DIR is its directory, or all within DIR. Stop all nodes
first: a node creates missing streams, and restore does not change an existing stream. Without nats.url
the streams are written to the directory of the embedded server (nats.embedded.dir), which no other process
may use at that time.

Events that were stored after the backup are lost, and new events reuse their sequences. Each restored stream
therefore has a new epoch: every client that reconnects receives tidemark.gap with the reason "epoch", and then
all events of the stream that it may read. To move a store without that, move its directory instead.

The name of a directory must be that of its stream. Differences from the definition of the stream are printed.
Streams that copy from other accounts or domains require --allow-external.`,
		Example: `  tidemark stream restore /backup/2026-11-21
  tidemark stream restore backup/NOTIFICATIONS --nats.url nats://127.0.0.1:4222`,
		Args: arguments(cobra.ExactArgs(1)),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&external, "allow-external", false, "also restore streams that copy from other accounts or domains")
	return configured(cmd, func(cmd *cobra.Command, args []string, cfg config.Config) error {
		dirs, err := streambackup.Find(args[0])
		if err != nil {
			return err
		}
		defs, err := loadDefinitions(cfg)
		if err != nil {
			return err
		}
		change := restoreOptions(cfg, defs)
		change.AllowExternal = external
		// Check all of them before the store is in use and anything is restored.
		for _, dir := range dirs {
			found, err := streambackup.Check(cmd.Context(), dir, change)
			if err != nil {
				return err
			}
			printDifferences(cmd.ErrOrStderr(), found, defs)
		}
		target, err := openRestoreTarget(cmd.Context(), cfg, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		defer target.close()
		sums := []streambackup.Summary{}
		for _, dir := range dirs {
			sum, err := streambackup.Restore(cmd.Context(), target.js, dir, change)
			if err != nil {
				return err
			}
			sums = append(sums, sum)
		}
		return printSummaries(cmd.OutOrStdout(), sums, asJSON, "restored to "+target.name+" from")
	}, "nats.", "streams.dir", "streams.replicas", "streams.max_bytes")
}

// printDifferences prints differences that a node would report: the configuration of the backup is restored.
func printDifferences(stderr io.Writer, found streambackup.Found, defs []streams.Definition) {
	for _, def := range defs {
		if def.Name != found.Config.Name {
			continue
		}
		for _, diff := range streamdef.Compare(def.Config, found.Config) {
			fmt.Fprintln(stderr, terminal.Escape(fmt.Sprintf("tidemark: %s: the backup differs from the definition, and is restored unchanged: %s", def.Name, diff)))
		}
	}
}

func restoreOptions(cfg config.Config, defs []streams.Definition) streambackup.RestoreOptions {
	epochs := make(map[string]string)
	for _, def := range defs {
		epochs[def.Name] = def.Config.Metadata["tidemark.epoch"]
	}
	change := streambackup.RestoreOptions{
		Replicas: cfg.Streams.Replicas, MaxBytes: int64(cfg.Streams.MaxBytes),
		Epoch: func(stream string) string { return epochs[stream] },
		Own:   map[string][]string{revocation.Stream: {revocation.Subject}},
	}
	if cfg.NATS.URL == "" {
		change.Replicas = 1 // the embedded server is not a cluster
	}
	return change
}

// restoreTarget is the server that streams are restored to.
type restoreTarget struct {
	js    jetstream.JetStream
	name  string
	close func()
}

// openRestoreTarget connects to nats.url, or starts the embedded server on its directory. The embedded server
// uses a free port, so that publishers do not reach it before the restore is complete.
func openRestoreTarget(ctx context.Context, cfg config.Config, stderr io.Writer) (restoreTarget, error) {
	if cfg.NATS.URL != "" {
		js, err := connectJetStream(ctx, cfg)
		if err != nil {
			return restoreTarget{}, err
		}
		return restoreTarget{js, natsconn.WithoutLogin(cfg.NATS.URL), js.Conn().Close}, nil
	}
	if account := cfg.NATS.Embedded.Account; account != "" {
		return restoreTarget{}, fmt.Errorf("nats.embedded.account: restore writes to the default account, and the node reads account %s; "+
			"run nats-server with nats.embedded.config on the directory, and name it and a login of that account with --nats.url and NATS_USER", account)
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	embedded, err := natsd.Start(ctx, natsd.Options{
		Addr: "127.0.0.1:0", Dir: cfg.NATS.Embedded.Dir, SyncInterval: time.Duration(cfg.NATS.Embedded.Sync), Logger: logger,
	})
	if err != nil {
		return restoreTarget{}, fmt.Errorf("restore without nats.url requires the directory of the embedded server: %w", err)
	}
	nc, err := nats.Connect("", embedded.InProcess())
	if err != nil {
		embedded.Stop()
		return restoreTarget{}, err
	}
	closeAll := func() { nc.Close(); embedded.Stop() }
	js, err := jetstream.New(nc)
	if err != nil {
		closeAll()
		return restoreTarget{}, err
	}
	return restoreTarget{js, cfg.NATS.Embedded.Dir, closeAll}, nil
}
