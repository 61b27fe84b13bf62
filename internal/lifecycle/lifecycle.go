// Package lifecycle owns the goroutines of a component, and the resources to be released after them.
//
// A component makes a [Group] when it starts, starts its goroutines with [Group.Go] or [Group.Serve],
// and registers with [Group.OnStop] how each resource is released, right after it was acquired:
//
//	g := lifecycle.New(ctx)
//	conn, err := connect()
//	if err != nil {
//		g.Stop() // releases what was acquired before
//		return err
//	}
//	g.OnStop(conn.Close)
//	g.Go(func(ctx context.Context) error { return read(ctx, conn) })
//	g.Serve(func() error { return srv.Serve(l) }, func() { _ = srv.Close() })
//
// # Guarantees
//
//   - Stop means stopped: when [Group.Stop] returns, every goroutine has returned and every resource is
//     released. This also holds for each of several concurrent calls.
//   - Resources are released after all goroutines have returned, last acquired first.
//   - Nothing leaks when start and stop are concurrent: after Stop has begun, Go and Serve start nothing and
//     return false, and OnStop releases at once.
//   - The first error of a goroutine is kept ([Group.Err]) and reported by [Group.Failed]. It does not stop
//     the others, because a server drains its clients before it stops what serves them.
//
// golang.org/x/sync/errgroup is close, but cancels the others upon the first error, releases nothing, and must
// not be given a goroutine while Wait may return.
package lifecycle

import (
	"context"
	"errors"
	"sync"
)

// ErrStopped is the cause of a Group's context after Stop.
var ErrStopped = errors.New("stopped")

// Group owns goroutines and resources. Make it with New; its methods are safe for concurrent use.
type Group struct {
	ctx     context.Context //nolint:containedctx // the lifetime of what the group owns
	cancel  context.CancelCauseFunc
	running sync.WaitGroup
	failed  chan struct{} // closed at the first error
	stopped chan struct{} // closed when everything is released

	mu       sync.Mutex
	stopping bool
	err      error
	cleanups []func() // run last to first
}

// New returns a Group. Its context ends with Stop, or with ctx. The end of ctx alone releases nothing:
// call Stop in any case.
func New(ctx context.Context) *Group {
	g := &Group{failed: make(chan struct{}), stopped: make(chan struct{})}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	return g
}

// Context returns the context of the group's goroutines.
func (g *Group) Context() context.Context { return g.ctx }

// Go calls run in a goroutine, with the group's context. It reports whether the goroutine was started.
//
// run must return when the context ends, and then return nil: any error counts as a failure of the group.
func (g *Group) Go(run func(context.Context) error) (started bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopping {
		return false
	}
	g.running.Go(func() {
		if err := run(g.ctx); err != nil {
			g.fail(err)
		}
	})
	return true
}

// Serve calls serve in a goroutine, for functions without a context such as [net/http.Server.Serve]. It reports
// whether the goroutine was started.
//
// When the context ends, interrupt is called once, and must make serve return. The call can come before serve
// has begun, and after it has returned.
func (g *Group) Serve(serve func() error, interrupt func()) (started bool) {
	return g.Go(func(ctx context.Context) error {
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			if err := serve(); err != nil {
				g.fail(err)
			}
		}()
		<-ctx.Done()
		interrupt()
		<-returned
		return nil
	})
}

func (g *Group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
		close(g.failed)
	}
}

// Failed returns a channel, closed at the first error of a goroutine.
func (g *Group) Failed() <-chan struct{} { return g.failed }

// Err returns the first error of a goroutine; nil while there is none.
func (g *Group) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// OnStop registers the release of a resource. Stop calls it after the goroutines have returned, in reverse order of
// registration. A group that is stopping calls it before OnStop returns.
func (g *Group) OnStop(release func()) {
	g.mu.Lock()
	stopping := g.stopping
	if !stopping {
		g.cleanups = append(g.cleanups, release)
	}
	g.mu.Unlock()
	if stopping {
		release()
	}
}

// Stop ends the context, waits for the goroutines, releases the resources, and returns Err. Further calls wait
// for the first. A goroutine of the group must not call it: it would wait for itself.
func (g *Group) Stop() error {
	g.mu.Lock()
	first := !g.stopping
	g.stopping = true
	g.mu.Unlock()
	if !first {
		<-g.stopped
		return g.Err()
	}
	g.cancel(ErrStopped)
	g.running.Wait()
	for i := len(g.cleanups) - 1; i >= 0; i-- { // nothing is added any more
		g.cleanups[i]()
	}
	g.cleanups = nil
	close(g.stopped)
	return g.Err()
}
