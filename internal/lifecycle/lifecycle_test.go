package lifecycle_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/tidemark/tidemark/internal/lifecycle"
)

func TestStop_GoroutinesRun_ReleasesAfterThemLastFirst(t *testing.T) {
	g := lifecycle.New(t.Context())
	var mu sync.Mutex
	var order []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	g.OnStop(func() { note("first") })
	g.Go(func(ctx context.Context) error {
		<-ctx.Done()
		note("goroutine")
		return nil
	})
	g.OnStop(func() { note("second") })
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	if want := []string{"goroutine", "second", "first"}; !slices.Equal(order, want) {
		t.Errorf("ended in the order %q, want %q", order, want)
	}
	if cause := context.Cause(g.Context()); !errors.Is(cause, lifecycle.ErrStopped) {
		t.Errorf("the context's cause is %v", cause)
	}
}

func TestGo_GroupIsStopped_StartsNothingAndReleasesAtOnce(t *testing.T) {
	g := lifecycle.New(t.Context())
	_ = g.Stop()
	if g.Go(func(context.Context) error { t.Error("a goroutine runs"); return nil }) ||
		g.Serve(func() error { t.Error("a server runs"); return nil }, func() { t.Error("interrupted") }) {
		t.Error("a stopped group reports a started goroutine")
	}
	released := false
	g.OnStop(func() { released = true })
	if !released {
		t.Error("a stopped group keeps a resource")
	}
}

func TestFailed_OneGoroutineFails_OthersContinueUntilStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := lifecycle.New(t.Context())
		first, second := errors.New("first"), errors.New("second")
		next := make(chan struct{})
		var others atomic.Bool
		g.Go(func(ctx context.Context) error { <-ctx.Done(); others.Store(true); return nil })
		g.Go(func(context.Context) error { return first })
		<-g.Failed()
		g.Go(func(context.Context) error { defer close(next); return second })
		<-next
		synctest.Wait()
		if others.Load() {
			t.Error("an error has stopped the other goroutines")
		}
		if err := g.Stop(); !errors.Is(err, first) {
			t.Errorf("Stop returned %v, want the first error", err)
		}
		if !others.Load() {
			t.Error("Stop has not waited")
		}
	})
}

func TestServe_HTTPServer_EndsWithTheGroup(t *testing.T) {
	g := lifecycle.New(t.Context())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler()}
	g.Serve(func() error {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}, func() { _ = srv.Close() })
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	if again, err := net.Listen("tcp", l.Addr().String()); err != nil {
		t.Errorf("the port is not free after Stop: %v", err)
	} else {
		again.Close()
	}
}

func TestServe_ServerFails_ReportsItsError(t *testing.T) {
	g := lifecycle.New(t.Context())
	broken := errors.New("broken")
	var interrupts atomic.Int64
	g.Serve(func() error { return broken }, func() { interrupts.Add(1) })
	<-g.Failed()
	if err := g.Stop(); !errors.Is(err, broken) {
		t.Errorf("Stop returned %v, want %v", err, broken)
	}
	if n := interrupts.Load(); n != 1 {
		t.Errorf("interrupted %d times", n)
	}
}

// Groups are started and stopped while other goroutines add to them. Whatever was started has ended, and
// whatever was acquired is released exactly once, before any Stop returns.
func TestStress_ConcurrentStartAndStop_LeaksNothing(t *testing.T) {
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	for round := range rounds {
		parent, cancel := context.WithCancel(t.Context())
		g := lifecycle.New(parent)
		var started, ended, acquired, released atomic.Int64
		begin := make(chan struct{})
		var early atomic.Int64 // both have ended before any Stop returns
		g.OnStop(func() { early.Add(1) })
		g.Go(func(ctx context.Context) error { <-ctx.Done(); early.Add(1); return nil })
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				<-begin
				for range 8 {
					acquired.Add(1)
					g.OnStop(func() { released.Add(1) })
					if g.Go(func(ctx context.Context) error {
						// A goroutine may start another one.
						if g.Go(func(ctx context.Context) error { <-ctx.Done(); ended.Add(1); return nil }) {
							started.Add(1)
						}
						<-ctx.Done()
						ended.Add(1)
						return nil
					}) {
						started.Add(1)
					}
				}
				quit := make(chan struct{})
				if g.Serve(func() error { <-quit; ended.Add(1); return nil }, func() { close(quit) }) {
					started.Add(1)
				}
			})
		}
		for range 3 {
			all.Go(func() {
				<-begin
				if round%3 == 0 {
					cancel()
				}
				if err := g.Stop(); err != nil {
					t.Error(err)
				}
				if g.Context().Err() == nil || early.Load() != 2 {
					t.Errorf("round %d: Stop returned while the group runs", round)
				}
			})
		}
		close(begin)
		all.Wait()
		_ = g.Stop()
		if started.Load() != ended.Load() || acquired.Load() != released.Load() {
			t.Fatalf("round %d: %d goroutines started and %d ended, %d resources acquired and %d released",
				round, started.Load(), ended.Load(), acquired.Load(), released.Load())
		}
		cancel()
	}
}
