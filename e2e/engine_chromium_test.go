package e2e_test

import (
	"context"
	"fmt"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"
)

// newChromium starts Chromium, which chromedp controls.
func newChromium(t *testing.T) (b *browser, missing string) {
	t.Helper()
	path, missing := lookBrowser("chromium", "chromium-browser", "google-chrome")
	if path == "" {
		return nil, missing
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WSURLReadTimeout(waitTimeout),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("ignore-certificate-errors", true),
	)
	allocator, free := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(free)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	b = &browser{chromedp: ctx, opener: func(context.Context) (window, error) { return newChromiumTab(ctx) }}
	if process := chromedp.FromContext(ctx).Browser.Process(); process != nil {
		b.root = process.Pid
	}
	return b, ""
}

// newBrowser starts Chromium alone, for cases that do not differ among engines.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	b, missing := newChromium(t)
	if b == nil {
		t.Skip(missing)
	}
	b.engine = chromiumEngine
	return b
}

// lookBrowser finds a program by one of its names.
func lookBrowser(names ...string) (path, missing string) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, ""
		}
	}
	return "", fmt.Sprintf("none of %q was found in PATH", names)
}

type chromiumTab struct {
	ctx    context.Context
	cancel context.CancelFunc
}

func newChromiumTab(browser context.Context) (*chromiumTab, error) {
	ctx, cancel := chromedp.NewContext(browser)
	if err := chromedp.Do(ctx); err != nil { // the tab is closed with this context
		cancel()
		return nil, err
	}
	return &chromiumTab{ctx, cancel}, nil
}

func (c *chromiumTab) navigate(ctx context.Context, url string) error {
	return during(ctx, c, chromedp.Navigate(url))
}

func (c *chromiumTab) reload(ctx context.Context) error { return during(ctx, c, chromedp.Reload()) }

func (c *chromiumTab) evaluate(ctx context.Context, js string) (text []byte, err error) {
	var value string
	err = withDeadline(ctx, c, func(ctx context.Context) (err error) {
		value, err = chromedp.Run(ctx, chromedp.Evaluate[string](encoded(js)))
		return err
	})
	return []byte(value), err
}

func (c *chromiumTab) close(context.Context) error {
	c.cancel()
	return nil
}

func during[T any](ctx context.Context, c *chromiumTab, action chromedp.Action[T]) error {
	return withDeadline(ctx, c, func(ctx context.Context) error {
		_, err := chromedp.Run(ctx, action)
		return err
	})
}

// withDeadline runs a function in the context of the tab, with the deadline of ctx.
func withDeadline(ctx context.Context, c *chromiumTab, do func(ctx context.Context) error) error {
	deadline, _ := ctx.Deadline()
	own, cancel := context.WithDeadline(c.ctx, deadline)
	defer cancel()
	return do(own)
}

// run executes an action that only the protocol of Chromium has.
func run[T any](p *tab, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, waitTimeout)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}
