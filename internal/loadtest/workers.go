package loadtest

import (
	"context"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// workers are clients in several processes, each of which has [localClients].
type workers struct {
	opts    Options
	procs   []*process
	waiting sync.WaitGroup // for targets
}

// answerTimeout bounds the wait for calls that take no time by themselves; the machine may be busy.
const answerTimeout = 60 * time.Second

func startWorkers(ctx context.Context, opts Options, run string, abort func(error)) (*workers, error) {
	w := &workers{opts: opts}
	for i := range opts.Workers {
		p, err := startProcess(ctx, opts, Partition{Run: run, Index: i, Of: opts.Workers}, abort)
		if err != nil {
			w.close()
			return nil, err
		}
		w.procs = append(w.procs, p)
	}
	return w, nil
}

// callAll calls a method of all workers at the same time and returns their replies, or the first
// error.
func callAll[R any](ctx context.Context, w *workers, timeout time.Duration, method string, args any) ([]R, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	replies := make([]R, len(w.procs))
	var calling sync.WaitGroup
	for i, p := range w.procs {
		calling.Go(func() {
			var err error
			if replies[i], err = call[R](ctx, p, timeout, method, args); err != nil {
				stop(err)
			}
		})
	}
	calling.Wait()
	return replies, context.Cause(ctx)
}

func (w *workers) pids() (pids []int) {
	for _, p := range w.procs {
		pids = append(pids, p.cmd.Process.Pid)
	}
	return pids
}

func (w *workers) openAll(ctx context.Context) (all Connects, err error) {
	start := time.Now()
	replies, err := callAll[Connects](ctx, w, w.opts.openLimit()+answerTimeout, "OpenAll", none{})
	for _, r := range replies {
		all.add(r)
	}
	return all.within(time.Since(start)), err
}

func (w *workers) sample(ctx context.Context) (connected int, second *hdrhistogram.Histogram, err error) {
	replies, err := callAll[SampleReply](ctx, w, answerTimeout, "Sample", none{})
	if err != nil {
		return 0, nil, err
	}
	second = newHistogram()
	for _, r := range replies {
		connected += r.Connected
		second.Merge(r.Second.Histogram)
	}
	return connected, second, nil
}

func (w *workers) setTarget(ctx context.Context, numbers map[string]int) <-chan time.Time {
	reached := make(chan time.Time, 1)
	w.waiting.Go(func() {
		times, err := callAll[time.Time](ctx, w, 0, "SetTarget", numbers)
		if err != nil {
			return // ctx has ended, or the run
		}
		var last time.Time
		for _, t := range times {
			if t.After(last) {
				last = t
			}
		}
		reached <- last
	})
	return reached
}

func (w *workers) disconnectAll(ctx context.Context) error {
	_, err := callAll[none](ctx, w, answerTimeout, "DisconnectAll", none{})
	return err
}

func (w *workers) reconnectAll(ctx context.Context) error {
	_, err := callAll[none](ctx, w, answerTimeout, "ReconnectAll", none{})
	return err
}

func (w *workers) startChurn(ctx context.Context, perSecond float64, absence time.Duration) error {
	_, err := callAll[none](ctx, w, answerTimeout, "StartChurn", ChurnRequest{perSecond / float64(len(w.procs)), absence})
	return err
}

func (w *workers) restoreAll(ctx context.Context) error {
	_, err := callAll[none](ctx, w, answerTimeout, "RestoreAll", none{})
	return err
}

func (w *workers) finish(ctx context.Context, published map[string]int) (ClientsResult, error) {
	replies, err := callAll[ClientsResult](ctx, w, answerTimeout, "Finish", published)
	if err != nil {
		return ClientsResult{}, err
	}
	all := ClientsResult{Latency: &histogram{newHistogram()}}
	for _, r := range replies {
		all.add(r)
	}
	return all, nil
}

// close ends all workers at the same time. Targets have ended with their contexts.
func (w *workers) close() {
	var closing sync.WaitGroup
	for _, p := range w.procs {
		closing.Go(p.close)
	}
	closing.Wait()
	w.waiting.Wait()
}
