package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/config"
	"github.com/tidemark/tidemark/pkg/feed"
	"github.com/tidemark/tidemark/pkg/jetlog"
)

type publishFlags struct {
	event, id string
	json      bool
	timeout   time.Duration
}

func newPublish() *cobra.Command {
	var flags publishFlags
	cmd := &cobra.Command{
		Use:   "publish SUBJECT [DATA]",
		Short: "Publish one event to NATS, and wait until it is stored",
		Long:  "Publish one event to NATS, and wait until it is stored. Without DATA, or with \"-\", the data is read from standard input.",
		Example: `  tidemark publish notifications.user.42 '{"text":"hi"}' --event greeting
  date | tidemark publish notifications.broadcast`,
		Args: arguments(cobra.RangeArgs(1, 2)),
	}
	cmd.Flags().StringVar(&flags.event, "event", "", "the event's `type`")
	cmd.Flags().StringVar(&flags.id, "id", "", "an `id` that makes a repeat a duplicate")
	cmd.Flags().BoolVar(&flags.json, "json", false, "print the answer as JSON")
	cmd.Flags().DurationVar(&flags.timeout, "timeout", natsTimeout, "how long to wait for the acknowledgement")
	return configured(cmd, func(cmd *cobra.Command, args []string, cfg config.Config) error {
		data, err := payload(cmd.InOrStdin(), args[1:])
		if err != nil {
			return err
		}
		msg := feed.Message{Subject: args[0], Type: flags.event, Data: data, ID: flags.id}
		if err := msg.Validate(); err != nil {
			return usageError{err}
		}
		ack, err := publish(cmd.Context(), cfg, msg, flags.timeout)
		if err != nil {
			return err
		}
		return printAck(cmd.OutOrStdout(), ack, flags.json)
	})
}

func payload(stdin io.Reader, args []string) ([]byte, error) {
	if len(args) == 1 && args[0] != "-" {
		return []byte(args[0]), nil
	}
	return io.ReadAll(stdin)
}

func publish(ctx context.Context, cfg config.Config, msg feed.Message, timeout time.Duration) (feed.Ack, error) {
	nc, err := connect(ctx, cfg)
	if err != nil {
		return feed.Ack{}, err
	}
	defer nc.Close()
	publisher, err := jetlog.NewPublisher(nc, jetlog.PublisherOptions{AckTimeout: timeout})
	if err != nil {
		return feed.Ack{}, err
	}
	defer publisher.Close()
	result := publisher.Publish(ctx, msg)[0]
	return result.Ack, result.Err
}

func printAck(w io.Writer, ack feed.Ack, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			Stream    string `json:"stream"`
			Seq       uint64 `json:"seq"`
			Position  string `json:"position"`
			Duplicate bool   `json:"duplicate,omitempty"`
		}{ack.Stream, ack.Position.Seq, ack.Position.String(), ack.Duplicate})
	}
	note := ""
	if ack.Duplicate {
		note = " (a duplicate: it was stored before)"
	}
	_, err := fmt.Fprintf(w, "stored in %s at %s%s\n", ack.Stream, ack.Position, note)
	return err
}
