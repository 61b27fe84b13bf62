package main

import (
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/server"
)

func newConfig() *cobra.Command {
	check := &cobra.Command{
		Use:   "check",
		Short: "Report all problems of the configuration, without starting a server",
		Long: `Report all problems of the configuration, and exit with 1 for problems that prevent "serve" from starting.
A valid setting without effect, such as a variable that no identity has, is a warning on standard error,
with the exit status 0. Streams that exist in NATS only are not checked: "serve" reports them in its log.`,
		Example: `  tidemark config check --config tidemark.yaml
  TIDEMARK_HTTP_ADDR=:9000 tidemark config check`,
		Args: arguments(cobra.NoArgs),
	}
	print := &cobra.Command{
		Use:     "print",
		Short:   "Print the resulting configuration, without secrets",
		Example: "  tidemark config print --config tidemark.yaml",
		Args:    arguments(cobra.NoArgs),
	}
	return group(&cobra.Command{Use: "config", Short: "Check and print the configuration"},
		configuredAs(config.Options{Serve: true}, check, func(cmd *cobra.Command, _ []string, cfg config.Config) error {
			defs, err := definitions(cfg) // reads the files that it names
			if err != nil {
				return err
			}
			feeds, err := feedOptions(cfg)
			if err != nil {
				return err
			}
			if err := checkEmbedded(cfg); err != nil {
				return err
			}
			for _, warning := range append(cfg.Warnings(), undeliverable(defs, feeds)...) {
				_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "ok")
			return err
		}),
		configuredAs(config.Options{Serve: true}, print, func(cmd *cobra.Command, _ []string, cfg config.Config) error {
			return cfg.Print(cmd.OutOrStdout())
		}),
	)
}

// undeliverable reports subjects of feeds that no event can have, for streams with a definition.
func undeliverable(defs []jetstream.StreamConfig, feeds []server.FeedOptions) (all []string) {
	for _, f := range feeds {
		for _, def := range defs {
			if def.Name != f.Stream {
				continue
			}
			for _, problem := range f.Undeliverable(def) {
				all = append(all, fmt.Sprintf("%s: %s", problem.Key, problem.Text))
			}
		}
	}
	slices.Sort(all) // feeds have no order
	return all
}
