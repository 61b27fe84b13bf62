package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidemark/tidemark/internal/config"
)

func newHealth() *cobra.Command {
	var url string
	var ready bool
	var timeout, wait time.Duration
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a node whether it lives; exit 1 if not",
		Long: `Ask a node whether it lives (/healthz), or with --ready whether clients should be sent there
(/readyz): it reaches NATS, and its streams are there. Meant for containers, whose image holds
no other program. Without --url it asks the node that http.addr and http.tls describe, on this
machine.

What restarts a node that fails should not use --ready: while NATS is away no node is ready, and
a restart would only cut the clients off that wait. With --wait the command repeats the request until
the node answers that it lives, or is ready, and fails when that time is over: for scripts that start a node.`,
		Example: "  tidemark health\n  tidemark health --ready --wait 30s\n  tidemark health --ready --url https://events.example.com",
		Args:    arguments(cobra.NoArgs),
	}
	f := cmd.Flags()
	f.StringVar(&url, "url", "", "ask the node at this `url`, without a path")
	f.BoolVar(&ready, "ready", false, "ask whether clients should be sent there")
	f.DurationVar(&timeout, "timeout", 3*time.Second, "wait this `duration` for the answer")
	f.DurationVar(&wait, "wait", 0, "repeat a request that fails for this `duration`")
	bindConfig(cmd, "http.addr", "http.tls.")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		own := url == ""
		if own {
			var err error
			if url, err = ownURL(cmd.Flags()); err != nil {
				return err
			}
		}
		path := "/healthz"
		if ready {
			path = "/readyz"
		}
		return awaitHealth(cmd.Context(), wait, cmd.OutOrStdout(), func(out io.Writer) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return checkHealth(ctx, url+path, own, out)
		})
	}
	return cmd
}

// healthPause is between two requests.
const healthPause = 200 * time.Millisecond

// awaitHealth repeats a request until it succeeds, its usage is wrong, or the time to wait is over. It prints
// the last answer.
func awaitHealth(ctx context.Context, wait time.Duration, out io.Writer, request func(io.Writer) error) error {
	over := time.Now().Add(wait)
	for {
		var answer bytes.Buffer
		err := request(&answer)
		if _, wrong := errors.AsType[usageError](err); err == nil || wrong || !time.Now().Before(over) {
			_, printErr := answer.WriteTo(out)
			return errors.Join(err, printErr)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(healthPause):
		}
	}
}

// ownURL is where this machine reaches the node that the configuration describes. The rest of
// it is not looked at: the node may have been started with flags.
func ownURL(flags *pflag.FlagSet) (string, error) {
	cfg, err := config.Load(config.Options{Flags: flags, Unchecked: true})
	if err != nil {
		return "", err
	}
	addr, err := reachable(cfg.HTTP.Addr)
	if err != nil {
		return "", fmt.Errorf("http.addr: %w; name the node with --url", err)
	}
	scheme := "http://"
	if cfg.HTTP.TLS.Cert != "" {
		scheme = "https://"
	}
	return scheme + addr + cfg.HTTP.BasePath, nil
}

// maxHealth is how much of an answer is shown, in bytes.
const maxHealth = 64 << 10

// checkHealth prints the node's answer. A node's own certificate is for other names than the
// address at which its own machine asks, so that it is not checked there; nothing secret is
// sent.
func checkHealth(ctx context.Context, url string, own bool, out io.Writer) error {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: own}, //nolint:gosec // see above
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usageError{fmt.Errorf("--url: %w", err)}
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the node does not answer: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(out, io.LimitReader(resp.Body, maxHealth)); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
