package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidemark/tidemark/internal/config"
)

func newRoot() *cobra.Command {
	root := group(&cobra.Command{
		Use:   "tidemark",
		Short: "Durable, replayable Server-Sent Events on NATS JetStream",
		Long: `Tidemark delivers streams of NATS JetStream as Server-Sent Events. A client that reconnects receives
all events that it missed, in order and once.

The exit status is 0 for success, 1 for a failure, 2 for wrong usage.`,
		Example: `  tidemark serve --dev
  tidemark subscribe --user 42
  tidemark publish notifications.user.42 '{"text":"hi"}' --event greeting`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}, newServe(), newPublish(), newSubscribe(), newSubject(), newStream(), newConfig(), newBench(), newToken(), newNATSPassword(), newHealth(), newDoctor(), newStatus(), newTop(), newDrain(), newVersion())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w%s; see %s --help", err, similarFlag(cmd, err), cmd.CommandPath())}
	})
	return root
}

// similarFlag completes the error of an unknown flag with a similar known one.
func similarFlag(cmd *cobra.Command, err error) string {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || unknown.GetSpecifiedShortnames() != "" {
		return ""
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
	return config.DidYouMean("--"+unknown.GetSpecifiedName(), known)
}

// group makes cmd a command with subcommands only. Cobra's own answer to an unknown subcommand is the help,
// and success.
func group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(commands...)
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			var known []string
			for _, c := range cmd.Commands() {
				known = append(known, c.Name())
			}
			return usageError{fmt.Errorf("there is no command %q%s; see %s --help", args[0], config.DidYouMean(args[0], known), cmd.CommandPath())}
		}
		return cmd.Help()
	}
	return cmd
}

// arguments makes the errors of check usage errors.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{fmt.Errorf("%w; usage: %s", err, cmd.UseLine())}
		}
		return nil
	}
}

// configured adds the flags of the configuration to a command, or only those with one of the prefixes, and
// loads the configuration for run.
func configured(cmd *cobra.Command, run func(cmd *cobra.Command, args []string, cfg config.Config) error, prefixes ...string) *cobra.Command {
	return configuredAs(config.Options{}, cmd, run, prefixes...)
}

// configuredAs is configured with options for the load; it sets their flags.
func configuredAs(opts config.Options, cmd *cobra.Command, run func(cmd *cobra.Command, args []string, cfg config.Config) error, prefixes ...string) *cobra.Command {
	bindConfig(cmd, prefixes...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts := opts
		opts.Flags = cmd.Flags()
		cfg, err := config.Load(opts)
		if err != nil {
			return err
		}
		return run(cmd, args, cfg)
	}
	return cmd
}

func bindConfig(cmd *cobra.Command, prefixes ...string) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.BindFlags(all)
	all.VisitAll(func(f *pflag.Flag) {
		has := func(prefix string) bool { return strings.HasPrefix(f.Name, prefix) }
		if len(prefixes) == 0 || f.Name == "config" || slices.ContainsFunc(prefixes, has) {
			cmd.Flags().AddFlag(f)
		}
	})
}
