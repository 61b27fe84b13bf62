package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/natserr"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/terminal"
)

// nodes are the nodes that status and top query.
type nodes struct {
	all  bool
	wait time.Duration
	url  string // of one node
	own  bool   // the node of the configuration, on this machine
	// auto is the default admin address of the own node, which another node may use instead; empty if the
	// address is configured.
	auto string
	cfg  config.Config
}

const whereNodesAre = `Without a URL it queries the node of the configuration, on this machine: at admin.addr, or at http.addr,
which reports less, if admin.addr is off, or auto and in use by another node. --all queries all nodes
through NATS (node.micro), and shows those that respond in time.`

func (n *nodes) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&n.all, "all", false, "query all nodes, through NATS")
	cmd.Flags().DurationVar(&n.wait, "wait", 3*time.Second, "wait at most this `duration` for responses")
	bindConfig(cmd, "http.addr", "http.tls.", "admin.addr", "nats.")
}

// prepare finds the nodes to query. It does not check other keys: the node may have been started with flags.
func (n *nodes) prepare(flags *pflag.FlagSet, args []string) (err error) {
	if n.all && len(args) > 0 {
		return usageError{errors.New("--all queries the nodes through NATS; remove the URL")}
	}
	if n.cfg, err = config.Load(config.Options{Flags: flags, Unchecked: true}); err != nil || n.all {
		return err
	}
	if n.own = len(args) == 0; n.own {
		n.url, err = n.ownURL(flags)
		return err
	}
	u, err := url.Parse(args[0])
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return usageError{fmt.Errorf("%q is not the URL of a node; write one such as http://127.0.0.1:8080", args[0])}
	}
	n.url = strings.TrimSuffix(args[0], "/")
	return nil
}

func (n *nodes) ownURL(flags *pflag.FlagSet) (string, error) {
	addr, optional := n.cfg.Admin.Listen()
	if addr == "" {
		return ownURL(flags)
	}
	if optional {
		n.auto = "http://" + addr
		return ownURL(flags)
	}
	addr, err := reachable(addr)
	if err != nil {
		return "", fmt.Errorf("admin.addr: %w; name the node by its URL", err)
	}
	return "http://" + addr, nil
}

// query returns the nodes that respond, by name.
func (n *nodes) query(ctx context.Context, nc *nats.Conn) (found []server.Health, err error) {
	ctx, cancel := context.WithTimeout(ctx, n.wait)
	defer cancel()
	if n.all {
		err = natserr.LacksPermission(natserr.Permitted(ctx, nc, func(ctx context.Context) (err error) {
			found, err = queryNATS(ctx, nc)
			return err
		}))
	} else {
		found, err = n.queryHTTP(ctx)
	}
	slices.SortFunc(found, func(a, b server.Health) int { return strings.Compare(a.Node, b.Node) })
	return found, err
}

// queryHTTP reads /admin/status, or /readyz where that is not served.
func (n *nodes) queryHTTP(ctx context.Context) ([]server.Health, error) {
	client := n.client()
	if n.auto != "" {
		return n.queryOwn(ctx, client)
	}
	for _, path := range []string{"/admin/status", "/readyz"} {
		h, err := queryNode(ctx, client, n.url+path)
		if !errors.Is(err, errNoNode) {
			return []server.Health{h}, err
		}
	}
	return nil, fmt.Errorf("%s is not a Tidemark node: /admin/status and /readyz have other responses", n.url)
}

// queryOwn compares the names of the nodes, because the default admin address may be that of another node of
// this machine.
func (n *nodes) queryOwn(ctx context.Context, client *http.Client) ([]server.Health, error) {
	node, err := queryNode(ctx, client, n.url+"/readyz")
	if errors.Is(err, errNoNode) {
		return nil, fmt.Errorf("%s is not a Tidemark node: /readyz has another response", n.url)
	}
	if err != nil {
		return nil, err
	}
	if full, err := queryNode(ctx, client, n.auto+"/admin/status"); err == nil && full.Node == node.Node {
		node = full
	}
	return []server.Health{node}, nil
}

var errNoNode = errors.New("not a response of a node")

func queryNode(ctx context.Context, client *http.Client, url string) (h server.Health, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return h, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return h, fmt.Errorf("the node does not answer: %w", err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&h); err != nil || h.Status == "" || h.Node == "" {
		return server.Health{}, errNoNode
	}
	return h, nil
}

// quiet is the wait for another response after each response.
const quiet = 700 * time.Millisecond

func queryNATS(ctx context.Context, nc *nats.Conn) (found []server.Health, err error) {
	inbox, err := nc.SubscribeSync(nc.NewInbox())
	if err != nil {
		return nil, err
	}
	defer func() { _ = inbox.Unsubscribe() }()
	if err := nc.PublishRequest(server.StatusSubject, inbox.Subject, nil); err != nil {
		return nil, err
	}
	for {
		next, cancel := ctx, context.CancelFunc(func() {})
		if len(found) > 0 {
			next, cancel = context.WithTimeout(ctx, quiet)
		}
		m, err := inbox.NextMsgWithContext(next)
		cancel()
		var h server.Health
		switch {
		case err != nil && len(found) > 0:
			return found, nil
		case err != nil:
			return nil, errors.New("no node responds; nodes require node.micro and permissions of NATS")
		case json.Unmarshal(m.Data, &h) == nil && h.Node != "":
			found = append(found, h)
		}
	}
}

func newStatus() *cobra.Command {
	var n nodes
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status [URL]",
		Short:   "Show a node, or all nodes; exit 1 unless all are ready",
		Long:    "Show a node, or all nodes, as a table; exit 1 unless all that respond are ready.\n\n" + whereNodesAre,
		Example: "  tidemark status\n  tidemark status http://127.0.0.1:8081\n  tidemark status --all --json",
		Args:    arguments(cobra.MaximumNArgs(1)),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the responses as a JSON array")
	n.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return n.with(cmd, args, func(nc *nats.Conn) error {
			found, err := n.query(cmd.Context(), nc)
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				err = enc.Encode(found)
			} else {
				err = statusTable(cmd.OutOrStdout(), found, time.Now())
			}
			return errors.Join(err, unready(found))
		})
	}
	return cmd
}

// with connects to NATS for --all.
func (n *nodes) with(cmd *cobra.Command, args []string, run func(nc *nats.Conn) error) error {
	if err := n.prepare(cmd.Flags(), args); err != nil {
		return err
	}
	if !n.all {
		return run(nil)
	}
	nc, err := connectPrivately(cmd.Context(), n.cfg)
	if err != nil {
		return err
	}
	defer nc.Close()
	return run(nc)
}

func unready(found []server.Health) error {
	for _, h := range found {
		if h.Status == "unavailable" {
			return fmt.Errorf("%s is not ready: %s", terminal.Escape(h.Node), terminal.Escape(failedChecks(h)))
		}
	}
	return nil
}

// failedChecks returns the checks that failed.
func failedChecks(h server.Health) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(h.Checks)) {
		if text := h.Checks[name]; text != "ok" {
			list = append(list, name+": "+text)
		}
	}
	return strings.Join(list, "; ")
}

func statusTable(out io.Writer, found []server.Health, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tVERSION\tUPTIME\tSTATE\tCONNS\tREPLAYS\tWINDOW\tLAG\tNATS")
	for _, h := range found {
		version, uptime, lag, replays := "-", "-", "-", fmt.Sprint(h.Replays)
		if d := h.Detail; d != nil {
			version, uptime = d.Version, now.Sub(d.Started).Round(time.Second).String()
			behind := uint64(0)
			for _, t := range d.Tails {
				behind += t.Behind
			}
			lag = fmt.Sprint(behind)
			if n := d.ReplayBytes.Waiting; n > 0 {
				replays += fmt.Sprintf(" (%d waiting)", n)
			}
		}
		state := h.Status
		if h.Checks["node"] == "draining" {
			state = "draining"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n",
			terminal.Escape(h.Node), terminal.Escape(version), uptime, terminal.Escape(state), h.Streams, replays, terminal.Escape(windowSpan(h)), lag, terminal.Escape(cmp.Or(h.NATS, "-")))
	}
	return w.Flush()
}

// windowSpan returns the sequences of the windows, by stream.
func windowSpan(h server.Health) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(h.Windows)) {
		span := "empty"
		if win := h.Windows[name]; win.Events > 0 {
			span = fmt.Sprintf("%d-%d", win.First, win.Last)
		}
		if len(h.Windows) > 1 {
			span = name + " " + span
		}
		list = append(list, span)
	}
	return strings.Join(list, ", ")
}
