package loadtest

import (
	"context"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// workers are clients that several processes share, each of which has a swarm.
type workers struct {
	opts   Options
	procs  []*process
	aiming sync.WaitGroup
}

// answerWithin bounds the wait for what workers do at once; they may be as busy as the machine.
const answerTimeout = 60 * time.Second

func startWorkers(ctx context.Context, opts Options, run string, giveUp func(error)) (*workers, error) {
	w := &workers{opts: opts}
	for i := range opts.Workers {
		p, err := startProcess(opts.WorkerCommand, partition{Run: run, Index: i, Of: opts.Workers}, giveUp)
		if err != nil {
			w.close()
			return nil, err
		}
		w.procs = append(w.procs, p)
	}
	if _, err := w.ask(ctx, answerTimeout, request{Do: toStart, Options: &opts}); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// ask requests the same of all workers and returns their answers, or the first error.
func (w *workers) ask(ctx context.Context, within time.Duration, req request) ([]answer, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	answers := make([]answer, len(w.procs))
	var asking sync.WaitGroup
	for i, p := range w.procs {
		asking.Go(func() {
			own := req
			own.Share = p.part
			var err error
			if answers[i], err = p.call(ctx, within, own); err != nil {
				stop(err)
			}
		})
	}
	asking.Wait()
	return answers, context.Cause(ctx)
}

// tell is ask for what has no answer but that it is done.
func (w *workers) tell(ctx context.Context, req request) error {
	_, err := w.ask(ctx, answerTimeout, req)
	return err
}

func (w *workers) pids() (pids []int) {
	for _, p := range w.procs {
		pids = append(pids, p.cmd.Process.Pid)
	}
	return pids
}

func (w *workers) openAll(ctx context.Context) (all Connects, err error) {
	start := time.Now()
	answers, err := w.ask(ctx, w.opts.openLimit()+answerTimeout, request{Do: toOpenAll})
	for _, a := range answers {
		all.add(a.Connects)
	}
	return all.within(time.Since(start)), err
}

func (w *workers) sample(ctx context.Context) (connected int, second *hdrhistogram.Histogram, err error) {
	answers, err := w.ask(ctx, answerTimeout, request{Do: toSample})
	if err != nil {
		return 0, nil, err
	}
	second = newHistogram()
	for _, a := range answers {
		connected += a.Connected
		second.Merge(a.Second.Histogram)
	}
	return connected, second, nil
}

// aim is reached when the last worker's last client is level.
func (w *workers) setTarget(ctx context.Context, numbers map[string]int) <-chan time.Time {
	level := make(chan time.Time, 1)
	w.aiming.Go(func() {
		answers, err := w.ask(ctx, 0, request{Do: toAim, Numbers: numbers})
		if err != nil {
			return // ctx has ended, or the run
		}
		var last time.Time
		for _, a := range answers {
			if a.Level.After(last) {
				last = a.Level
			}
		}
		level <- last
	})
	return level
}

func (w *workers) disconnectAll(ctx context.Context) error { return w.tell(ctx, request{Do: toCutAll}) }

func (w *workers) reconnectAll(ctx context.Context) error { return w.tell(ctx, request{Do: toReturnAll}) }

func (w *workers) startChurn(ctx context.Context, perSecond float64, absence time.Duration) error {
	return w.tell(ctx, request{Do: toChurn, PerSecond: perSecond / float64(len(w.procs)), Absence: absence})
}

func (w *workers) restoreAll(ctx context.Context) error {
	return w.tell(ctx, request{Do: toEverybodyBack})
}

func (w *workers) finish(ctx context.Context, published map[string]int) (clientsResult, error) {
	answers, err := w.ask(ctx, answerTimeout, request{Do: toFinish, Numbers: published})
	if err != nil {
		return clientsResult{}, err
	}
	all := clientsResult{Latency: &histogram{newHistogram()}}
	for _, a := range answers {
		all.add(*a.Harvest)
	}
	return all, nil
}

// close ends all workers at the same time. Aims have ended with their contexts.
func (w *workers) close() {
	var ending sync.WaitGroup
	for _, p := range w.procs {
		ending.Go(p.close)
	}
	ending.Wait()
	w.aiming.Wait()
}
