package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemark/tidemark/internal/admin"
	"github.com/tidemark/tidemark/internal/terminal"
)

func newDrain() *cobra.Command {
	n := nodes{wait: 3 * time.Second}
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "drain [URL]",
		Short: "Drain a node, and wait until its connections are closed",
		Long: `Drain a node. /readyz reports 503 and new connections are rejected with a short retry; after
http.drain_delay the open connections are closed over sse.drain_period. The command returns after the
last connection is closed, or after --timeout with exit status 1. The process keeps running; a later
SIGTERM stops it without a second delay. POST /admin/undrain cancels the drain.

Use it in preStop hooks. Without a URL it drains the node of the configuration, on this machine, at
admin.addr.`,
		Example: "  tidemark drain\n  tidemark drain http://127.0.0.1:8081 --timeout 40s",
		Args:    arguments(cobra.MaximumNArgs(1)),
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 45*time.Second, "wait this `duration` for connections to end; 0s returns at once")
	bindConfig(cmd, "http.addr", "http.tls.", "admin.addr")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := n.prepare(cmd.Flags(), args); err != nil {
			return err
		}
		client := n.client()
		url, err := n.adminURL(cmd.Context(), client)
		if err != nil {
			return err
		}
		return drain(cmd.Context(), client, url, timeout, cmd.OutOrStdout())
	}
	return cmd
}

// adminURL returns the URL of the node for operators. The default address may be that of another node of this
// machine, which must not be drained instead.
func (n *nodes) adminURL(ctx context.Context, client *http.Client) (string, error) {
	if n.auto == "" {
		return n.url, nil
	}
	ctx, cancel := context.WithTimeout(ctx, n.wait)
	defer cancel()
	node, err := queryNode(ctx, client, n.url+"/readyz")
	if errors.Is(err, errNoNode) {
		return "", fmt.Errorf("%s: not a Tidemark node: /readyz has another response", n.url)
	}
	if err != nil {
		return "", err
	}
	admin, err := queryNode(ctx, client, n.auto+"/admin/status")
	if err != nil || admin.Node != node.Node {
		return "", fmt.Errorf("%s: not the admin listener of node %s; set admin.addr, or name the listener by its URL", n.auto, terminal.Escape(node.Node))
	}
	return n.auto, nil
}

// client does not verify the certificate of a node of this machine, which is for other names.
func (n *nodes) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: n.own}, //nolint:gosec // as health does
	}}
}

// drainPoll is the interval at which the command reads how many connections are left.
const drainPoll = 200 * time.Millisecond

func drain(ctx context.Context, client *http.Client, url string, timeout time.Duration, out io.Writer) error {
	status, err := drainRequest(ctx, client, http.MethodPost, url)
	if err != nil || timeout <= 0 {
		return err
	}
	fmt.Fprintf(out, "draining: %s\n", plural(status.Connections, "connection"))
	deadline := time.After(timeout)
	for !status.Closing || status.Connections > 0 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline:
			return fmt.Errorf("%s still open after %s; the drain continues", plural(status.Connections, "connection"), timeout)
		case <-time.After(drainPoll):
		}
		next, err := drainRequest(ctx, client, http.MethodGet, url)
		switch {
		case err != nil && status.Stopping:
			next = admin.Drain{Draining: true, Closing: true} // the process ends after the last connection
		case err != nil:
			return err
		}
		if status = next; !status.Draining {
			return errors.New("the drain was canceled")
		}
	}
	fmt.Fprintln(out, "drained")
	return nil
}

func drainRequest(ctx context.Context, client *http.Client, method, url string) (d admin.Drain, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url+"/admin/drain", nil)
	if err != nil {
		return d, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return d, fmt.Errorf("the node does not answer: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHealth))
	if err != nil {
		return d, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusAccepted {
		return d, fmt.Errorf("%s /admin/drain at %s answers %s: %s", method, url, resp.Status, terminal.Escape(string(body)))
	}
	if err := json.Unmarshal(body, &d); err != nil {
		return d, fmt.Errorf("%s: not a Tidemark node: %w", url, err)
	}
	return d, nil
}
