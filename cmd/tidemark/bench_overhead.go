package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/internal/loadtest/transports"
)

func newBenchOverhead() *cobra.Command {
	var opts transports.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "overhead",
		Short: "Compare the network traffic of SSE, WebSocket and polling",
		Long: `Measure the bytes and packets of an idle connection and of each event, with Server-Sent
Events, a WebSocket, long polling and short polling.

Each has a reference endpoint on loopback; no server is needed. Bytes are counted at the
sockets; packets are those that the kernel counted, which is possible on Linux only. It takes
as long as --idle and the events together, 80 seconds by default.`,
		Example: `  tidemark bench overhead
  tidemark bench overhead --poll-interval 30s --cookie 1200
  tidemark bench overhead --idle 10m --json`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return benchOverhead(cmd, opts, asJSON) },
	}
	f := cmd.Flags()
	f.DurationVar(&opts.Idle, "idle", time.Minute, "measure an idle connection for this time, rounded up to whole periods")
	f.IntVar(&opts.Events, "events", 20, "send `N` events over each transport")
	f.DurationVar(&opts.Interval, "interval", time.Second, "time between two events")
	f.IntVar(&opts.Payload, "payload", 100, "size of an event's data in `bytes`")
	f.DurationVar(&opts.Heartbeat, "heartbeat", 15*time.Second, "time between two heartbeats of SSE, and two pings of the WebSocket")
	f.DurationVar(&opts.Hold, "hold", 30*time.Second, "time that a long poll waits for an event")
	f.DurationVar(&opts.PollInterval, "poll-interval", 5*time.Second, "time between two short polls")
	f.IntVar(&opts.Cookie, "cookie", 400, "size of the cookie of each request in `bytes`; 0 disables it")
	f.BoolVar(&asJSON, "json", false, "print a JSON object")
	return cmd
}

func benchOverhead(cmd *cobra.Command, opts transports.Options, asJSON bool) error {
	if err := checkOverhead(opts); err != nil {
		return usageError{err}
	}
	if opts.Cookie == 0 {
		opts.Cookie = -1 // in the options 0 is the default
	}
	table, err := transports.Run(cmd.Context(), opts)
	if err != nil {
		return err
	}
	if !asJSON {
		return table.Text(cmd.OutOrStdout())
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(table)
}

// checkOverhead rejects values that the options would replace by a default, and invalid ones.
func checkOverhead(o transports.Options) error {
	for name, d := range map[string]time.Duration{
		"idle": o.Idle, "interval": o.Interval, "heartbeat": o.Heartbeat, "hold": o.Hold, "poll-interval": o.PollInterval,
	} {
		if d <= 0 {
			return fmt.Errorf("--%s must be above zero", name)
		}
	}
	switch {
	case o.Events <= 0:
		return errors.New("--events must be above zero")
	case o.Payload < 2 || o.Payload > 1<<20:
		return errors.New("--payload must be from 2 to 1048576")
	case o.Cookie < 0 || o.Cookie > 16<<10:
		return errors.New("--cookie must be from 0 to 16384")
	}
	return nil
}
