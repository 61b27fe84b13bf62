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
		Short: "Compare what SSE, WebSocket and polling cost on the wire",
		Long: `Measure the bytes and packets that a client costs while nothing happens, and for each event,
with Server-Sent Events, a WebSocket, long polling and short polling.

Each has a reference endpoint of its own on loopback; no server is needed. Bytes are counted at
the sockets; packets are those that the kernel counted, which is possible on Linux alone. It
takes as long as --idle and the events together, 80 seconds unless told otherwise.`,
		Example: `  tidemark bench overhead
  tidemark bench overhead --poll-interval 30s --cookie 1200
  tidemark bench overhead --idle 10m --json`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return benchOverhead(cmd, opts, asJSON) },
	}
	f := cmd.Flags()
	f.DurationVar(&opts.Idle, "idle", time.Minute, "how long to measure a connection that waits, rounded up to whole periods")
	f.IntVar(&opts.Events, "events", 20, "send `N` events over each transport")
	f.DurationVar(&opts.Interval, "interval", time.Second, "the time between two events")
	f.IntVar(&opts.Payload, "payload", 100, "the size of an event's data in `bytes`")
	f.DurationVar(&opts.Heartbeat, "heartbeat", 15*time.Second, "the time between two heartbeats of SSE, and two pings of the WebSocket")
	f.DurationVar(&opts.Hold, "hold", 30*time.Second, "how long a long poll is held")
	f.DurationVar(&opts.PollInterval, "poll-interval", 5*time.Second, "the time between two short polls")
	f.IntVar(&opts.Cookie, "cookie", 400, "the size of the requests' cookie in `bytes`; 0 for none")
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

// checkOverhead refuses what the options would take for a default, and what they refuse.
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
