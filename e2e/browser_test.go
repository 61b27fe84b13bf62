package e2e_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"
	"time"
)

// browser is one engine for all subtests. Each has tabs of its own.
type browser struct {
	engine string
	// chromedp is the context of Chromium, for what only its protocol can do; nil elsewhere.
	chromedp context.Context
	// root is the browser's first process, whose descendants are the others.
	root   int
	opener func(ctx context.Context) (window, error)
}

// window is what a test does with a tab, in whatever language its engine is driven.
type window interface {
	// navigate and reload return when the page has loaded.
	navigate(ctx context.Context, url string) error
	reload(ctx context.Context) error
	// evaluate runs JavaScript in the page and returns its value as JSON; null for undefined.
	evaluate(ctx context.Context, js string) ([]byte, error)
	close(ctx context.Context) error
}

// The names by which tests ask for engines, and logs tell of them.
const (
	chromiumEngine = "Chromium"
	firefoxEngine  = "Firefox"
	webkitEngine   = "WebKitGTK"
)

// engines are the browsers that go through a case at the same time, with one service: a case is
// the same for all of them, and takes about as long as for one.
type engines []*browser

// newEngines starts all that this machine has. What lacks is skipped by name, but for those that
// check changes.
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

// only is the part of the engines that can do something.
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
	// ctx is the tab's for chromedp; nil in other engines.
	ctx context.Context
}

// tabs are those in which a case does the same.
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
		_ = w.close(ctx) // ends with its browser if not before
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

// encoded is the JavaScript that hands over the value of some other as text.
func encoded(js string) string {
	text, _ := json.Marshal(js)
	return "JSON.stringify((0, eval)(" + string(text) + ") ?? null)"
}
