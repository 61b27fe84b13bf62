package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/internal/config"
)

func newConfig() *cobra.Command {
	check := &cobra.Command{
		Use:   "check",
		Short: "Name every problem of the configuration, without starting anything",
		Example: `  tidemark config check --config tidemark.yaml
  TIDEMARK_HTTP_ADDR=:9000 tidemark config check`,
		Args: arguments(cobra.NoArgs),
	}
	print := &cobra.Command{
		Use:     "print",
		Short:   "Print the configuration that is in force, without secrets",
		Example: "  tidemark config print --config tidemark.yaml",
		Args:    arguments(cobra.NoArgs),
	}
	return group(&cobra.Command{Use: "config", Short: "Check and print the configuration"},
		configuredAs(config.Options{Serve: true}, check, func(cmd *cobra.Command, _ []string, cfg config.Config) error {
			if _, err := definitions(cfg); err != nil { // the files that it names count too
				return err
			}
			if err := checkEmbedded(cfg); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "ok")
			return err
		}),
		configuredAs(config.Options{Serve: true}, print, func(cmd *cobra.Command, _ []string, cfg config.Config) error {
			return cfg.Print(cmd.OutOrStdout())
		}),
	)
}
