package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/natserr"
	"github.com/tidemark/tidemark/internal/publish"
)

type publishFlags struct {
	user, event, id string
	json, end       bool
	timeout         time.Duration
}

func newPublish() *cobra.Command {
	var flags publishFlags
	cmd := &cobra.Command{
		Use:   "publish {SUBJECT | --user ID} [DATA]",
		Short: "Publish one event to NATS, and wait until it is stored",
		Long: `Publish one event to NATS, and wait until it is stored. NATS is nats.url, or the server that a
running "tidemark serve" embeds.

With --user the event is published to the subject of that user instead of SUBJECT; the feeds of the
configuration must have exactly one subject with {user} as its only variable.

Without DATA, or with "-", the data is read from standard input unchanged: echo adds a newline, printf
does not. With --id a repetition within the duplicate window of the stream is not stored again, and is
reported. With --end the event completes its subject: clients that read it until its end stop after this
event, which may be empty. --json prints {"stream","seq","position"}, and "duplicate":true for a repetition.

If a stream of the configured feeds stores the event and no feed delivers it, a warning is printed to
standard error; the exit status is still 0. Other streams are not checked.`,
		Example: `  tidemark publish notifications.user.42 '{"text":"hi"}' --event greeting
  tidemark publish --user alice.b@example.com 'hi'
  tidemark publish notifications.broadcast 'shipped' --id order-7-shipped --json
  tidemark publish notifications.topic.run7 '' --end
  date | tidemark publish notifications.broadcast`,
	}
	cmd.Args = arguments(func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("user") {
			return cobra.MaximumNArgs(1)(cmd, args)
		}
		return cobra.RangeArgs(1, 2)(cmd, args)
	})
	cmd.Flags().StringVar(&flags.user, "user", "", "publish to this `user` instead of SUBJECT")
	cmd.Flags().StringVar(&flags.event, "event", "", "`type` of the event")
	cmd.Flags().StringVar(&flags.id, "id", "", "message `id`, for detecting duplicates")
	cmd.Flags().BoolVar(&flags.end, "end", false, "complete the subject with this event")
	cmd.Flags().BoolVar(&flags.json, "json", false, "print the result as JSON")
	cmd.Flags().DurationVar(&flags.timeout, "timeout", natsTimeout, "stop waiting after this `duration`")
	return configured(cmd, func(cmd *cobra.Command, args []string, cfg config.Config) error {
		to, args, err := flags.subject(cmd, args, cfg)
		if err != nil {
			return err
		}
		msg := feed.Message{Subject: to, Type: flags.event, ID: flags.id, End: flags.end}
		if err := errors.Join(msg.Validate(), flags.check()); err != nil { // before anything is read
			return usageError{err}
		}
		if msg.Data, err = payload(cmd.Context(), cmd.InOrStdin(), args); err != nil {
			return err
		}
		ack, warning, err := publishEvent(cmd.Context(), cfg, msg, flags.timeout)
		if err != nil {
			return err
		}
		if warning != "" {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "tidemark: warning:", warning)
		}
		return printAck(cmd.OutOrStdout(), ack, flags.json)
	}, "nats.")
}

// subject returns the subject to publish to, and the remaining arguments.
func (f publishFlags) subject(cmd *cobra.Command, args []string, cfg config.Config) (to string, rest []string, err error) {
	if !cmd.Flags().Changed("user") {
		return args[0], args[1:], nil
	}
	to, err = userSubject(cfg, f.user)
	return to, args, err
}

func (f publishFlags) check() error {
	if f.timeout <= 0 {
		return errors.New("--timeout must be above zero")
	}
	return nil
}

// publishEvent also returns a warning for a stored event that no feed delivers.
func publishEvent(ctx context.Context, cfg config.Config, msg feed.Message, timeout time.Duration) (ack feed.Ack, warning string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no response within %s", timeout))
	defer cancel()
	nc, err := connect(ctx, cfg)
	if err != nil {
		return feed.Ack{}, "", err
	}
	defer nc.Close()
	publisher, err := publish.New(nc, publish.Options{Domain: cfg.NATS.Domain, APIPrefix: cfg.NATS.APIPrefix, AckTimeout: timeout})
	if err != nil {
		return feed.Ack{}, "", err
	}
	defer publisher.Close()
	err = natserr.Permitted(ctx, nc, func(ctx context.Context) error {
		result := publisher.Publish(ctx, msg)[0]
		ack = result.Ack
		return result.Err
	})
	if err := explain(ctx, msg.Subject, err); err != nil {
		return ack, "", err
	}
	return ack, undelivered(ctx, cfg, nc, msg.Subject, ack.Stream), nil
}

// explainDenied is for a subject of a publish: that of the event, of its response, or of the API that has the
// epoch of its position. NATS reports the last one after the event was stored, and it is not an error of the
// publish.
func explainDenied(subject string, e natserr.PermissionError) error {
	stored := "the event may be stored or not"
	if strings.Contains(e.Error(), "Publish to "+strconv.Quote(subject)) {
		stored = "the event is not stored"
	}
	return fmt.Errorf("%s, because the NATS user lacks a permission: %w", stored, e.Unwrap())
}

// explain completes an error with what to change.
func explain(ctx context.Context, subject string, err error) error {
	denied, isDenied := errors.AsType[natserr.PermissionError](err)
	switch {
	case isDenied:
		return explainDenied(subject, denied)
	case errors.Is(err, feed.ErrSubjectNotStored):
		return fmt.Errorf("%w; `tidemark stream ls` shows the subjects of the streams", err)
	case errors.Is(err, feed.ErrFull):
		return fmt.Errorf("%w; the event is not stored: make room, or raise the limit (`tidemark stream ls` shows the sizes of the streams)", err)
	case errors.Is(err, feed.ErrNotStored): // its text has the outcome
		return err
	case errors.Is(err, feed.ErrUnavailable), err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w; the event may be stored or not: with --id it can be published again safely", err)
	}
	return err
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
