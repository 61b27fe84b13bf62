package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/natserr"
	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/internal/streambackup"
	"github.com/tidemark/tidemark/internal/terminal"
)

func newStreamBackup() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "backup DIR [STREAM...]",
		Short: "Back up streams to a directory without stopping",
		Long: `Back up streams to new directories DIR/STREAM: the named ones, or all existing streams of the definitions
and ` + revocation.Stream + `. Publishers and clients continue during the backup. A backup contains the
events and the configuration of the stream, and no consumers. Its files are those of "nats stream backup".`,
		Example: `  tidemark stream backup /backup/$(date +%F)
  tidemark stream backup backup NOTIFICATIONS --nats.url nats://127.0.0.1:4222`,
		Args: arguments(cobra.MinimumNArgs(1)),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return configured(cmd, func(cmd *cobra.Command, args []string, cfg config.Config) error {
		js, err := connectJetStream(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		defer js.Conn().Close()
		names := args[1:]
		if len(names) == 0 {
			if names, err = streamsToBackUp(cfg); err != nil {
				return err
			}
		}
		sums := []streambackup.Summary{} // JSON null is not an array
		for _, name := range names {
			var sum streambackup.Summary
			err := natserr.Permitted(cmd.Context(), js.Conn(), func(ctx context.Context) (err error) {
				sum, err = streambackup.Backup(ctx, js, name, args[0])
				return err
			})
			if errors.Is(err, jetstream.ErrStreamNotFound) && len(args) == 1 {
				continue
			}
			if err != nil {
				return natserr.LacksPermission(err)
			}
			sums = append(sums, sum)
		}
		if len(sums) == 0 {
			return fmt.Errorf("the server does not have the streams of the definitions; name the streams, or check nats.url")
		}
		return printSummaries(cmd.OutOrStdout(), sums, asJSON, "backed up to")
	}, "nats.", "streams.dir")
}

// streamsToBackUp returns the streams with data of clients and operators.
func streamsToBackUp(cfg config.Config) ([]string, error) {
	defs, err := loadDefinitions(cfg)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, def := range defs {
		names = append(names, def.Name)
	}
	return append(names, revocation.Stream), nil
}

func printSummaries(out io.Writer, sums []streambackup.Summary, asJSON bool, verb string) error {
	if asJSON {
		return terminal.PrintJSON(out, sums)
	}
	for _, s := range sums {
		if _, err := fmt.Fprintf(out, "%s: %s %s: %d messages, sequences %d to %d\n", terminal.Escape(s.Stream), terminal.Escape(verb), terminal.Escape(filepath.Clean(s.Dir)), s.Messages, s.FirstSeq, s.LastSeq); err != nil {
			return err
		}
	}
	return nil
}
