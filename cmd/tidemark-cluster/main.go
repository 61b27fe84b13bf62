// Command cluster runs three Tidemark nodes behind nginx over three NATS servers on this machine. It is for trying
// the failure of each. internal/testcluster describes the processes.
//
//	go run ./cmd/tidemark-cluster
//
// It reports a process that dies, and starts it again after a pause. Ctrl-C ends all processes. They also end with
// this program, on Linux even when it is killed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tidemark/tidemark/internal/testcluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "cluster:", err)
		}
		stop()
		os.Exit(1)
	}
}

type options struct {
	testcluster.Options
	restart   bool
	pause     time.Duration
	killEvery time.Duration
}

func parse(args []string) (options, error) {
	o := options{}
	f := flag.NewFlagSet("cluster", flag.ContinueOnError)
	f.StringVar(&o.Dir, "dir", "data/cluster", "keep streams, logs and certificates in this `directory`")
	f.IntVar(&o.NATS, "nats", 3, "`number` of NATS servers, 2 to 5")
	f.IntVar(&o.Nodes, "nodes", 3, "`number` of Tidemark nodes")
	f.IntVar(&o.Ports.HTTP, "http", 8080, "`port` of nginx")
	f.IntVar(&o.Ports.HTTPS, "https", 8443, "`port` of nginx with TLS and HTTP/2")
	f.IntVar(&o.Ports.Nodes, "node-port", 8101, "first `port` of the nodes; 0 picks free ports, as with the other port flags")
	f.IntVar(&o.Ports.NATS, "nats-port", 4222, "first `port` of the NATS servers for clients")
	f.IntVar(&o.Ports.Monitor, "monitor-port", 8222, "first `port` of their monitoring")
	f.IntVar(&o.Ports.Cluster, "cluster-port", 6222, "first `port` of their routes")
	f.StringVar(&o.Binaries.Nginx, "nginx", "", "`path` of nginx; looked up when empty")
	noNginx := f.Bool("no-nginx", false, "run without nginx")
	noRestart := f.Bool("no-restart", false, "do not start processes again that die")
	f.DurationVar(&o.pause, "pause", 5*time.Second, "wait this `duration` before a process that died is started again")
	f.DurationVar(&o.killEvery, "kill-every", 0, "kill a process (-9) each time this `duration` has passed, one after the other; 0 disables it")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("there is no argument %q; see --help", f.Arg(0))
	}
	o.Nginx, o.restart = !*noNginx, !*noRestart
	return o, nil
}

func run(ctx context.Context, args []string) error {
	opts, err := parse(args)
	if err != nil {
		return err
	}
	opts.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	fmt.Println("building tidemark and nats-server ...")
	nginx := opts.Binaries.Nginx
	if opts.Binaries, err = testcluster.Build(ctx, filepath.Join(opts.Dir, "bin")); err != nil {
		return err
	}
	opts.Binaries.Nginx = nginx
	opts.Died = func(p *testcluster.Process, status string) { restart(ctx, opts, p, status) }
	topo, err := testcluster.Start(ctx, opts.Options)
	if errors.Is(err, testcluster.ErrNoNginx) {
		return fmt.Errorf("%w, or give --no-nginx", err)
	}
	if err != nil {
		return err
	}
	if err = topo.Ready(ctx); err == nil {
		err = hints(os.Stdout, topo)
		if opts.killEvery > 0 {
			chaos(ctx, topo, opts.killEvery, opts.pause)
		}
		<-ctx.Done()
	}
	fmt.Println("stopping all processes ...")
	if ctx.Err() != nil {
		err = nil
	}
	_ = topo.Stop() // opts.Died has reported each death already
	return err
}

// restart starts a process that has died again, after a pause.
func restart(ctx context.Context, opts options, p *testcluster.Process, status string) {
	if !opts.restart {
		fmt.Printf("%s has died (%s); it is not started again\n", p.Name(), status)
		return
	}
	fmt.Printf("%s has died (%s); it is started again in %s\n", p.Name(), status, opts.pause)
	select {
	case <-ctx.Done():
		return
	case <-time.After(opts.pause):
	}
	if err := p.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		return
	}
	fmt.Printf("%s runs again, with pid %d\n", p.Name(), p.PID())
}
