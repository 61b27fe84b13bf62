package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/config"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "tidemark",
		Short:         "Durable, replayable Server-Sent Events on NATS JetStream",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("there is no command %q; see tidemark --help", args[0])}
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	root.AddCommand(newServe(), newPublish(), newSubscribe(), newStream(), newConfig(), newVersion())
	return root
}

// arguments makes wrong arguments wrong usage.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{fmt.Errorf("%w; usage: %s", err, cmd.UseLine())}
		}
		return nil
	}
}

// configured gives a command the flags of the configuration, and loads it.
func configured(cmd *cobra.Command, run func(cmd *cobra.Command, args []string, cfg config.Config) error) *cobra.Command {
	config.BindFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := config.Load(config.Options{Flags: cmd.Flags()})
		if err != nil {
			return err
		}
		return run(cmd, args, cfg)
	}
	return cmd
}
