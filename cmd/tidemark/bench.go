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
		Short: "Load, cut and check any SSE server",
		Args:  arguments(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBenchLoad(), newBenchStorm(), newBenchSoak(), newBenchOverhead(), newBenchWorker())
	return cmd
}

// benchFlags are what every run takes. The defaults fit `tidemark serve`.
type benchFlags struct {
	loadtest.Options
	pattern string
	json    bool
	report  string
}

func (f *benchFlags) bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.URL, "url", "http://127.0.0.1:8080/events?user={user}", "where events come from; {user} becomes each client's user")
	flags.StringArrayVar(&f.Headers, "header", nil, "send this `'Name: value'` with each connection; repeatable, {user} as in --url")
	flags.IntVar(&f.Conns, "conns", 1000, "connections")
	flags.StringSliceVar(&f.Sources, "source", nil, "local `addresses` to connect from, in turn, such as 127.0.0.2,127.0.0.3")
	flags.IntVar(&f.Workers, "workers", 1, "share the connections among `N` processes, each with files (ulimit -n) of its own")
	flags.DurationVar(&f.Ramp, "ramp", 0, "open the connections over this time")
	flags.StringVar(&f.pattern, "pattern", string(loadtest.Broadcast), "broadcast, or per-user")
	flags.IntVar(&f.Users, "users", 0, "users of the per-user pattern; 0 is one a connection")
	flags.StringVar(&f.Publish.URL, "publish", "http://127.0.0.1:8080/publish", "where events are published: http://… (a POST each) or nats://…")
	flags.StringVar(&f.Publish.Body, "publish-body", "", "the POST's body, with {user} and {payload}; empty fits Tidemark's /publish there, and is the payload alone elsewhere")
	flags.StringVar(&f.Publish.ContentType, "publish-type", "", "the POST's content type")
	flags.StringArrayVar(&f.Publish.Headers, "publish-header", nil, "send this `'Name: value'` with each POST; repeatable")
	flags.StringVar(&f.Publish.Subject, "publish-subject", "", "the subject for nats://, with {user}; empty fits the built-in feed")
	flags.Float64Var(&f.Rate, "rate", 10, "events a second")
	flags.IntVar(&f.Burst, "burst", 1, "publish `N` events at the same instant; --rate still counts events")
	flags.DurationVar(&f.For, "for", 10*time.Second, "how long to publish")
	flags.IntVar(&f.Payload, "payload", 100, "bytes of an event's data")
	flags.IntSliceVar(&f.PIDs, "pid", nil, "measure these server processes; repeatable")
	flags.StringVar(&f.Metrics.URL, "metrics", "", "watch the server's metrics at this `URL` (Prometheus's text form), from before the first client until after the last")
	flags.StringSliceVar(&f.Metrics.Names, "metric", []string{"process_resident_memory_bytes", "go_goroutines", "process_open_fds"}, "the `names` of those; series of one name are added up")
	flags.DurationVar(&f.Metrics.Every, "metrics-every", 5*time.Second, "how often to look at them")
	flags.DurationVar(&f.Metrics.After, "rest", 0, "with --metrics: watch on for this long after the clients have left")
	flags.BoolVar(&f.Insecure, "insecure", false, "take any TLS certificate")
	flags.BoolVar(&f.HTTP2, "http2", false, "speak HTTP/2 (over http:// with prior knowledge)")
	flags.DurationVar(&f.Settle, "settle", 10*time.Second, "how long to wait for the last deliveries")
	flags.BoolVar(&f.json, "json", false, "print the result as JSON")
	flags.StringVar(&f.report, "report", "", "write a page with plots to this `file`")
}

// resolve fills in what depends on the pattern, for Tidemark's built-in feed.
func (f *benchFlags) resolve() loadtest.Options {
	o := f.Options
	o.Pattern = loadtest.Pattern(f.pattern)
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
		return f.tell(cmd.OutOrStdout(), result)
	}
	return cmd
}

// tell prints the result; a violation is status 1.
func (f *benchFlags) tell(w io.Writer, r loadtest.Result) error {
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
		return errors.New("no delivery was due: nothing was published that could be checked")
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
	return benchCommand("load", "Publish at a rate to many connections, and measure", `  tidemark bench load --conns 5000 --rate 4 --for 30s --pid $(pgrep -f 'tidemark serve')
  tidemark bench load --pattern per-user --conns 10000 --rate 500 --report out.html
  tidemark bench load --conns 5000 --burst 200 --rate 200 --for 5s --publish nats://127.0.0.1:4222
  tidemark bench load --url http://127.0.0.1:9000/sub --publish http://127.0.0.1:9000/pub --conns 5000`, loadtest.Load)
}

func newBenchStorm() *cobra.Command {
	var missed int
	cmd := benchCommand("storm", "Cut all connections at once, and time their return", "  tidemark bench storm --conns 10000 --missed 10",
		func(ctx context.Context, o loadtest.Options) (loadtest.Result, error) {
			return loadtest.Storm(ctx, loadtest.StormOptions{Options: o, Missed: missed})
		})
	cmd.Flags().IntVar(&missed, "missed", 10, "events that each client misses")
	return cmd
}

func newBenchSoak() *cobra.Command {
	var opts loadtest.SoakOptions
	var server string
	cmd := benchCommand("soak", "Let clients come and go while events are published, and count every one", `  tidemark bench soak --conns 1000 --rate 200 --for 1m
  tidemark bench soak --server-cmd 'tidemark serve --dev' --kill-every 10s`,
		func(ctx context.Context, o loadtest.Options) (loadtest.Result, error) {
			opts.Options = o
			if server != "" {
				opts.Server = &loadtest.ServerCmd{Command: server}
			}
			return loadtest.Soak(ctx, opts)
		})
	cmd.Flags().Float64Var(&opts.Churn, "churn", 0, "clients a second that something happens to; 0 is a tenth of all")
	cmd.Flags().DurationVar(&opts.Absence, "absence", 5*time.Second, "the longest that a client stays away, or slow")
	cmd.Flags().StringVar(&server, "server-cmd", "", "start this server, and end it with the run")
	cmd.Flags().DurationVar(&opts.KillEvery, "kill-every", 0, "kill that server (-9) after this time, and start it again; 0 never")
	return cmd
}
