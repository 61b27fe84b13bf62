package e2e_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"
)

// browser is one Chromium for all subtests. Each has a tab of its own.
type browser struct{ ctx context.Context }

func newBrowser(t *testing.T) *browser {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)),
		chromedp.NoSandbox, chromedp.DisableGPU,
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
	return &browser{ctx}
}

// chromium is where the browser is. A machine without one skips the test, but for those that
// check changes.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no Chromium was found, and CI=true")
	}
	t.Skip("no Chromium was found: EventSource is not tried")
	return ""
}

// tab is a page in the browser.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func (b *browser) open(t *testing.T, url string) *tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(b.ctx)
	t.Cleanup(closeTab)
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as this context
		t.Fatal(err)
	}
	p := &tab{t, ctx}
	run(p, chromedp.Navigate(url))
	return p
}

func run[T any](p *tab, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// eval evaluates JavaScript in the page.
func eval[T any](p *tab, js string) T {
	p.t.Helper()
	return run(p, chromedp.Evaluate[T](js))
}

// recorder serves a page, of another origin than the service's, that notes what its
// EventSources get.
func recorder(t *testing.T) (origin string) {
	t.Helper()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(recorderHTML))
	}))
	t.Cleanup(page.Close)
	return page.URL
}

const recorderHTML = `<!doctype html><meta charset="utf-8"><title>recorder</title><script>
'use strict';
const heard = [];
function follow(url, ...types) {
  const h = { events: [], opens: [], gaps: [], closes: [], errors: 0, source: new EventSource(url) };
  const take = e => h.events.push({ type: e.type, data: e.data, id: e.lastEventId });
  for (const type of ['message', ...types]) h.source.addEventListener(type, take);
  h.source.addEventListener('tidemark.open', e => h.opens.push(JSON.parse(e.data)));
  h.source.addEventListener('tidemark.gap', e => h.gaps.push(JSON.parse(e.data)));
  h.source.addEventListener('tidemark.close', e => h.closes.push(JSON.parse(e.data)));
  h.source.onerror = () => h.errors++;
  heard.push(h);
}
const numbers = i => heard[i].events.map(e => parseInt(e.data));
</script>`
