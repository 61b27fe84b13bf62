package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tidemark/tidemark/internal/config"
	"github.com/tidemark/tidemark/internal/doctor"
	"github.com/tidemark/tidemark/internal/microservice"
	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/internal/terminal"
)

type doctorFlags struct {
	url, origin   string
	ca            string
	headers       []string
	publish, json bool
	timeout       time.Duration
}

func newDoctor() *cobra.Command {
	var flags doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the configuration, NATS and the path through proxies, and report what to change",
		Long: `Check the configuration of a node and its environment: files, the limit of open files, the store of the
embedded NATS server, the running node, NATS and its permissions, the streams, and clocks. Run it on the
machine of a node with the same file, variables and flags as serve, with or without a running node.

With --url it opens a feed through its public URL, as a browser does, and detects proxies that buffer,
compress, cache, or close quiet connections. That takes as long as a heartbeat (sse.heartbeat).

Each finding is ok, warning, problem or skipped, followed by what to change. The exit status is 1 if there is
a problem. Nothing is stored without --publish; NATS servers log denied permissions.`,
		Example: `  tidemark doctor --config tidemark.yaml
  tidemark doctor --url https://events.example.com/events
  tidemark doctor --url https://events.example.com/events --header 'Authorization: Bearer ...' --json`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return examine(cmd, flags) },
	}
	f := cmd.Flags()
	f.StringVar(&flags.url, "url", "", "also check the path to this public `url` of a feed")
	f.StringArrayVar(&flags.headers, "header", nil, "send this `'Name: value'` to the public URL; repeatable")
	f.StringVar(&flags.origin, "origin", "", "check that pages of this `origin` may read; the first of http.cors.origins by default")
	f.StringVar(&flags.ca, "ca", "", "also trust the authorities in this PEM `file` for the public URL")
	f.BoolVar(&flags.publish, "publish", false, "store one event, which expires after a minute, and measure its delivery to the public URL")
	f.BoolVar(&flags.json, "json", false, "print the findings as a JSON object")
	f.DurationVar(&flags.timeout, "timeout", doctor.DefaultTimeout, "stop after this `duration`")
	bindConfig(cmd)
	return cmd
}

func examine(cmd *cobra.Command, flags doctorFlags) error {
	opts, err := flags.options()
	if err != nil {
		return err
	}
	describeNode(&opts, cmd.Flags())
	opts.Waiting = func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), "tidemark: "+terminal.Escape(text)) }
	report := doctor.Run(cmd.Context(), opts)
	if err := cmd.Context().Err(); err != nil {
		return errors.New("stopped before the checks ended")
	}
	if flags.json {
		err = terminal.PrintJSON(cmd.OutOrStdout(), report)
	} else {
		err = printReport(cmd.OutOrStdout(), report)
	}
	if err == nil && report.Status == doctor.Problem {
		return errSilent
	}
	return err
}

// options returns the options of the flags of doctor itself.
func (f doctorFlags) options() (opts doctor.Options, err error) {
	if f.timeout <= 0 {
		return opts, usageError{errors.New("--timeout must be above zero")}
	}
	header, err := parseHeaders(f.headers)
	if err != nil {
		return opts, err
	}
	for name, text := range map[string]string{"--url": f.url, "--origin": f.origin} {
		if u, err := url.Parse(text); text != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return opts, usageError{fmt.Errorf("%s: it must be an http or https URL, such as https://events.example.com/events", name)}
		}
	}
	if f.url == "" && (f.publish || f.origin+f.ca != "" || len(header) > 0) {
		return opts, usageError{errors.New("--header, --origin, --ca and --publish require --url")}
	}
	return doctor.Options{URL: f.url, Header: header, Origin: f.origin, CAFile: f.ca, Publish: f.publish, Timeout: f.timeout}, nil
}

// describeNode completes options with the configuration of the node, as far as it can be loaded.
func describeNode(opts *doctor.Options, flags *pflag.FlagSet) {
	cfg, err := config.Load(config.Options{Flags: flags, Serve: true})
	opts.ConfigErr, opts.Usable = err, err == nil
	if err != nil {
		if cfg, err = config.Load(config.Options{Flags: flags, Serve: true, Unchecked: true}); err != nil {
			return
		}
		opts.Usable = true
	}
	opts.Config, opts.NATS, opts.Version = cfg, natsOptions(cfg), version()
	opts.RevocationStream, opts.RevokeSubject, opts.StatusSubject = revocation.Stream, revocation.Subject, microservice.StatusSubject
	opts.NodeURL, opts.AdminURL = nodeAddresses(cfg, flags)
	if cfg.NATS.URL == "" {
		opts.Embedded = describeEmbedded(cfg, flags)
	}
	if opts.ConfigErr != nil {
		return // the rest would report the same errors again
	}
	discard := slog.New(slog.DiscardHandler)
	node, err := serverOptions(cfg, discard)
	opts.ConfigErr = err
	opts.Streams, _ = definitions(cfg) // ConfigErr has its error
	if slices.Contains(cfg.Auth.Identity, "jwt") && err == nil {
		opts.JWT = &node.Auth.JWT
		opts.JWT.Logger = discard
	}
}

// nodeAddresses returns the URLs of the node; empty if unknown.
func nodeAddresses(cfg config.Config, flags *pflag.FlagSet) (node, admin string) {
	node, _ = ownURL(flags)
	if addr, _ := cfg.Admin.Listen(); addr != "" {
		if addr, err := reachable(addr); err == nil {
			admin = "http://" + addr
		}
	}
	return node, admin
}

// describeEmbedded returns the options of a client of this machine for the embedded server; the node connects
// in memory. A login of the environment (NATS_USER) is for commands only, never for the node.
func describeEmbedded(cfg config.Config, flags *pflag.FlagSet) doctor.EmbeddedOptions {
	opts := doctor.EmbeddedOptions{NATS: natsOptions(cfg)}
	addr, err := embeddedAddr(cfg)
	if err != nil {
		opts.Err = err
		return opts
	}
	opts.URL = "nats://" + addr
	server := embeddedOptions(cfg)
	server.NodeLogin = cfg.NATS.HasLogin()
	opts.OwnLogin, _ = server.HasOwnLogin() // the check of the configuration has its error
	commands, err := config.Load(config.Options{Flags: flags, Unchecked: true})
	if err == nil && commands.NATS.URL == "" { // a login for NATS_URL must not be sent to another server
		opts.NATS = natsOptions(commands)
	}
	return opts
}

// printReport writes a line for each finding, followed by what to change.
func printReport(out io.Writer, report doctor.Report) error {
	counts := map[doctor.Status]int{}
	for _, f := range report.Findings {
		counts[f.Status]++
		if _, err := fmt.Fprintf(out, "%-8s %s: %s\n", f.Status, terminal.Escape(f.Check), terminal.Escape(f.Detail)); err != nil {
			return err
		}
		if f.Change == "" {
			continue
		}
		if _, err := fmt.Fprintf(out, "%-8s change %s\n", "", terminal.Escape(f.Change)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "\n%s, %s, %d ok, %d skipped\n", plural(counts[doctor.Problem], "problem"), plural(counts[doctor.Warning], "warning"), counts[doctor.OK], counts[doctor.Skipped])
	return err
}
