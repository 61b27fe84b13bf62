package e2e_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"
)

// browser is one engine. All subtests share it, and each opens tabs of its own.
type browser struct {
	engine string
	// chromedp is the context of Chromium, for operations that only its protocol has; nil for other engines.
	chromedp context.Context
	// root is the first process of the browser; the others are its descendants.
	root   int
	opener func(ctx context.Context) (window, error)
}

// window is the tab of an engine, whichever protocol drives it.
type window interface {
	// navigate and reload return when the page has loaded.
	navigate(ctx context.Context, url string) error
	reload(ctx context.Context) error
	// evaluate runs JavaScript in the page and returns its value as JSON; null for undefined.
	evaluate(ctx context.Context, js string) ([]byte, error)
	close(ctx context.Context) error
}

// The names of the engines, in tests and logs.
const (
	chromiumEngine = "Chromium"
	firefoxEngine  = "Firefox"
	webkitEngine   = "WebKitGTK"
)

// engines are the browsers that run a case at the same time, against one service. This takes about as long as a
// run with one of them.
type engines []*browser

// newEngines starts the engines that are installed. A missing one skips its subtest; with CI=true the test fails.
func newEngines(t *testing.T) (all engines) {
	t.Helper()
	for _, engine := range []struct {
		name  string
		start func(t *testing.T) (b *browser, missing string)
	}{{chromiumEngine, newChromium}, {firefoxEngine, newFirefox}, {webkitEngine, newWebKit}} {
		b, missing := engine.start(t)
		if b != nil {
			b.engine = engine.name
			all = append(all, b)
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not tried, and CI=true: %s", engine.name, missing)
		}
		t.Run("without "+engine.name, func(t *testing.T) { t.Skip(missing) })
	}
	if len(all) == 0 {
		t.Skip("no browser was found")
	}
	return all
}

// only returns one engine, and skips the test if it is not installed.
func (e engines) only(t *testing.T, engine string) *browser {
	t.Helper()
	for _, b := range e {
		if b.engine == engine {
			return b
		}
	}
	t.Skip("this is tried in " + engine + " alone, which was not found")
	return nil
}

func (e engines) open(t *testing.T, url string) (group tabs) {
	t.Helper()
	for _, b := range e {
		group = append(group, b.open(t, url))
	}
	return group
}

// tab is a page in a browser.
type tab struct {
	*browser
	window
	t *testing.T
	// ctx is the context of the tab in chromedp; nil for other engines.
	ctx context.Context
}

// tabs run the same case at the same time.
type tabs []*tab

func (b *browser) open(t *testing.T, url string) *tab {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	w, err := b.opener(ctx)
	if err != nil {
		t.Fatalf("%s: open a tab: %v", b.engine, err)
	}
	p := &tab{browser: b, window: w, t: t}
	if c, ok := w.(*chromiumTab); ok {
		p.ctx = c.ctx
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = w.close(ctx) // else it ends with its browser
	})
	p.navigate(url)
	return p
}

func (p *tab) do(what string, do func(ctx context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitTimeout)
	defer cancel()
	if err := do(ctx); err != nil {
		p.t.Fatalf("%s: %s: %v", p.engine, what, err)
	}
}

func (p *tab) navigate(url string) {
	p.t.Helper()
	p.do("go to "+url, func(ctx context.Context) error { return p.window.navigate(ctx, url) })
}

func (p *tab) reload() {
	p.t.Helper()
	p.do("reload", p.window.reload)
}

// eval evaluates JavaScript in the page.
func eval[T any](p *tab, js string) (value T) {
	p.t.Helper()
	p.do(js, func(ctx context.Context) error {
		text, err := p.evaluate(ctx, js)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &value)
	})
	return value
}

// encoded returns JavaScript that evaluates js and returns the value as JSON text.
func encoded(js string) string {
	text, _ := json.Marshal(js)
	return "JSON.stringify((0, eval)(" + string(text) + ") ?? null)"
}
