package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/tidemark/tidemark/internal/loadtest"
	"github.com/tidemark/tidemark/internal/loadtest/report"
)

func newBench() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Load-test an SSE server",
		Args:  arguments(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBenchLoad(), newBenchStorm(), newBenchSoak(), newBenchOverhead(), newBenchWorker())
	return cmd
}

// benchFlags are the flags of every run. The defaults are those of `tidemark serve`.
type benchFlags struct {
	loadtest.Options
	pattern string
	form    string
	json    bool
	report  string
}

func (f *benchFlags) bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.URL, "url", "http://127.0.0.1:8080/events?user={user}", "`URL` of the events; {user} becomes the user of each client")
	flags.StringArrayVar(&f.Headers, "header", nil, "send this `'Name: value'` with each connection; repeatable, {user} as in --url")
	flags.StringVar(&f.form, "form", string(loadtest.FormSSE), "request events in this form: sse, envelope (?envelope=1), ndjson, or json (pages, with long polling)")
	flags.IntVar(&f.Conns, "conns", 1000, "open this number of connections")
	flags.StringSliceVar(&f.Sources, "source", nil, "connect from these local `addresses` in turn, such as 127.0.0.2,127.0.0.3")
	flags.IntVar(&f.Workers, "workers", 1, "share the connections among `N` processes, each with its own limit of open files (ulimit -n)")
	flags.DurationVar(&f.Ramp, "ramp", 0, "open the connections over this time")
	flags.StringVar(&f.pattern, "pattern", string(loadtest.Broadcast), "send events to all connections (broadcast) or to those of one user in turn (per-user)")
	flags.IntVar(&f.Users, "users", 0, "number of users with per-user; 0 is one per connection")
	flags.StringVar(&f.Publish.URL, "publish", "http://127.0.0.1:8080/publish", "publish events to this `URL`: http://… (a POST per event) or nats://…")
	flags.StringVar(&f.Publish.Body, "publish-body", "", "body of the POST, with {user} and {payload}; default: that of Tidemark's /publish there, and the payload elsewhere")
	flags.StringVar(&f.Publish.ContentType, "publish-type", "", "content type of the POST")
	flags.StringArrayVar(&f.Publish.Headers, "publish-header", nil, "send this `'Name: value'` with each POST; repeatable")
	flags.StringVar(&f.Publish.Subject, "publish-subject", "", "subject for nats://, with {user}; default: that of the built-in feed")
	flags.Float64Var(&f.Rate, "rate", 10, "publish this number of events a second")
	flags.IntVar(&f.Burst, "burst", 1, "publish `N` events at the same instant; --rate still counts events")
	flags.DurationVar(&f.For, "for", 10*time.Second, "publish for this time")
	flags.IntVar(&f.Payload, "payload", 100, "size of an event's data in `bytes`")
	flags.IntSliceVar(&f.PIDs, "pid", nil, "measure CPU and memory of this server process; repeatable")
	flags.StringVar(&f.Metrics.URL, "metrics", "", "read metrics of the server at this `URL` (Prometheus's text format), from before the first client until after the last")
	flags.StringSliceVar(&f.Metrics.Names, "metric", []string{"process_resident_memory_bytes", "go_goroutines", "process_open_fds"}, "`names` of the metrics; series of one name are added up")
	flags.DurationVar(&f.Metrics.Every, "metrics-every", 5*time.Second, "read the metrics at this interval")
	flags.DurationVar(&f.Metrics.After, "rest", 0, "read the metrics for this time after the clients have disconnected")
	flags.BoolVar(&f.Insecure, "insecure", false, "accept any TLS certificate of the server, also when publishing")
	flags.BoolVar(&f.HTTP2, "http2", false, "use HTTP/2 (over http:// with prior knowledge), with a connection for each client as browsers do")
	flags.IntVar(&f.StreamsPerConnection, "streams-per-connection", 1, "share an HTTP/2 connection among `N` clients")
	flags.StringSliceVar(&f.TLSCurves, "tls-curves", nil, "offer these TLS key exchanges, such as `X25519`; default: X25519MLKEM768 and others")
	flags.BoolVar(&f.FullHandshakes, "full-handshakes", false, "do not resume the TLS session when a client reconnects")
	flags.DurationVar(&f.Settle, "settle", 10*time.Second, "wait at most this time for the last deliveries")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
	flags.StringVar(&f.report, "report", "", "write a page with plots to this `file`")
}

// resolve fills in the defaults that depend on the pattern, for Tidemark's built-in feed.
func (f *benchFlags) resolve() loadtest.Options {
	o := f.Options
	o.Pattern = loadtest.Pattern(f.pattern)
	o.Form = loadtest.Form(f.form)
	subject := "notifications.broadcast"
	if o.Pattern == loadtest.PerUser {
		subject = "notifications.user.{user}"
	}
	if o.Publish.Subject == "" {
		o.Publish.Subject = subject
	}
	if o.Publish.Body == "" && isTidemarkPublish(o.Publish.URL) {
		o.Publish.Body = `{"subject":"` + subject + `","data":"{payload}"}`
		o.Publish.Arrays = true
	}
	return o
}

func isTidemarkPublish(url string) bool { return strings.HasSuffix(url, "/publish") }

// benchCommand is one scenario as a command.
func benchCommand(name, short, example string, run func(context.Context, loadtest.Options) (loadtest.Result, error)) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{Use: name, Short: short, Example: example, Args: arguments(cobra.NoArgs)}
	f.bind(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.Burst < 1 { // in the options 0 is the default
			return usageError{fmt.Errorf("--burst %d: it must be above zero", f.Burst)}
		}
		opts := f.resolve()
		if opts.Workers > 1 {
			var err error
			if opts.WorkerCommand, err = workerCommand(); err != nil {
				return err
			}
		}
		progress := report.NewProgress(cmd.ErrOrStderr(), isTerminal(cmd.ErrOrStderr()))
		opts.Progress = func(phase string, s loadtest.Sample) { progress.Update(s, phase) }
		result, err := run(cmd.Context(), opts)
		progress.Done()
		if err != nil {
			return err
		}
		return f.print(cmd.OutOrStdout(), result)
	}
	return cmd
}

// print prints the result; a violation is status 1.
func (f *benchFlags) print(w io.Writer, r loadtest.Result) error {
	if f.report != "" {
		if err := writeReport(f.report, r); err != nil {
			return err
		}
	}
	var err error
	if f.json {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(r)
	} else {
		err = report.Text(w, r)
	}
	switch {
	case err != nil:
		return err
	case r.Verdict.Expected == 0:
		return errors.New("no delivery was expected: no event was published")
	case !r.Verdict.OK():
		return errSilent
	}
	return nil
}

func writeReport(path string, r loadtest.Result) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("--report: %w", err)
	}
	return errors.Join(report.HTML(f, r), f.Close())
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func newBenchLoad() *cobra.Command {
	return benchCommand("load", "Publish at a rate to many connections, and measure deliveries", `  tidemark bench load --conns 5000 --rate 4 --for 30s --pid $(pgrep -f 'tidemark serve')
  tidemark bench load --pattern per-user --conns 10000 --rate 500 --report out.html
  tidemark bench load --conns 5000 --burst 200 --rate 200 --for 5s --publish nats://127.0.0.1:4222
  tidemark bench load --form json --conns 5000 --rate 4
  tidemark bench load --url http://127.0.0.1:9000/sub --publish http://127.0.0.1:9000/pub --conns 5000`, loadtest.Load)
}

func newBenchStorm() *cobra.Command {
	var missed int
	cmd := benchCommand("storm", "Reset all connections at once, and measure the reconnects", "  tidemark bench storm --conns 10000 --missed 10",
		func(ctx context.Context, o loadtest.Options) (loadtest.Result, error) {
			return loadtest.Storm(ctx, loadtest.StormOptions{Options: o, Missed: missed})
		})
	cmd.Flags().IntVar(&missed, "missed", 10, "publish this number of events that each client misses")
	return cmd
}

func newBenchSoak() *cobra.Command {
	var opts loadtest.SoakOptions
	var server string
	cmd := benchCommand("soak", "Disrupt random clients while events are published, and count every delivery", `  tidemark bench soak --conns 1000 --rate 200 --for 1m
  tidemark bench soak --server-cmd 'tidemark serve --dev' --kill-every 10s --for 1m`,
		func(ctx context.Context, o loadtest.Options) (loadtest.Result, error) {
			opts.Options = o
			if server != "" {
				opts.Server = &loadtest.ServerCmd{Command: server}
			}
			return loadtest.Soak(ctx, opts)
		})
	cmd.Flags().Float64Var(&opts.Churn, "churn", 0, "disrupt this number of clients a second; 0 is a tenth of all")
	cmd.Flags().DurationVar(&opts.Absence, "absence", 5*time.Second, "longest time for which a client is away or slow")
	cmd.Flags().StringVar(&server, "server-cmd", "", "start this server, and stop it with the run")
	cmd.Flags().DurationVar(&opts.KillEvery, "kill-every", 0, "kill that server (-9) and restart it at this interval; 0 is never")
	return cmd
}
