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
		Short: "Check that a node is alive; exit 1 if not",
		Long: `Check that a node is alive (/healthz), or with --ready that it is ready for clients (/readyz): it reaches
NATS, and its streams exist. Use it in containers, whose image has no other program. Without --url it
checks the node of http.addr and http.tls, on this machine.

Do not restart nodes based on --ready: no node is ready while NATS is unreachable, and a restart would
disconnect the waiting clients. With --wait the command repeats the request until the node is alive, or
ready, and fails after that time: for scripts that start a node.`,
		Example: "  tidemark health\n  tidemark health --ready --wait 30s\n  tidemark health --ready --url https://events.example.com",
		Args:    arguments(cobra.NoArgs),
	}
	f := cmd.Flags()
	f.StringVar(&url, "url", "", "check the node at this `url`, without a path")
	f.BoolVar(&ready, "ready", false, "check that the node is ready for clients")
	f.DurationVar(&timeout, "timeout", 3*time.Second, "wait this `duration` for the response")
	f.DurationVar(&wait, "wait", 0, "repeat a failing request for this `duration`")
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

// healthPause is the pause between two requests.
const healthPause = 200 * time.Millisecond

// awaitHealth repeats a request until it succeeds, its error is a usage error, or the time is over. It prints
// the last response.
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

// ownURL returns the URL of the node of the configuration on this machine. It does not check other keys: the
// node may have been started with flags.
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
	if cfg.HTTP.TLS.Enabled() {
		scheme = "https://"
	}
	return scheme + addr + cfg.HTTP.BasePath, nil
}

// maxHealth is the size of a response that is printed, in bytes.
const maxHealth = 64 << 10

// checkHealth prints the response of a node. It does not verify the certificate of a node of this machine, which is
// for other names than the address; it sends no secrets.
func checkHealth(ctx context.Context, url string, own bool, out io.Writer) error {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: own}, //nolint:gosec // for this machine only
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
