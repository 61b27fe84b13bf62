package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/nats-io/nats.go/jetstream"
)

// TestConsole uses the page at / as an operator does.
func TestConsole(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	t.Run("follows, cut and publish", b.testConsole)
	t.Run("the end of a subject", b.testConsoleEnd)
	t.Run("problems", b.testConsoleProblems)
	t.Run("keyboard", b.testConsoleKeyboard)
	t.Run("many events", b.testConsoleMany)
	t.Run("token", b.testConsoleToken)
	t.Run("API key", b.testConsoleKey)
	t.Run("docs", b.testDocs)
}

// consoleErrors collects errors of a page, and its requests to other origins.
type consoleErrors struct {
	mu    sync.Mutex
	found []string
}

// add records an error. The browser also reports a node that is not ready, as nodes may be for a moment on a loaded
// machine: the page shows that state, which is not an error of the page.
func (c *consoleErrors) add(text string) {
	if strings.Contains(text, "status of 503") && strings.HasSuffix(text, "/readyz") {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found = append(c.found, text)
}

func (c *consoleErrors) want(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.found) > 0 {
		t.Errorf("the page: %s", strings.Join(c.found, "\n"))
	}
}

// openConsole opens the console and collects its errors.
func (b *browser) openConsole(t *testing.T, s *service, query string) (*tab, *consoleErrors) {
	t.Helper()
	p, c := b.open(t, "about:blank"), &consoleErrors{}
	err := chromedp.Listen(p.ctx, func(ev any) {
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			c.add("exception: " + ev.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			c.add(fmt.Sprintf("%s: %s %s", ev.Entry.Level, ev.Entry.Text, ev.Entry.URL))
		case *network.EventRequestWillBeSent:
			if !strings.HasPrefix(ev.Request.URL, s.url("/")) {
				c.add("asks " + ev.Request.URL)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	run(p, chromedp.Navigate(s.url("/"+query)))
	return p, c
}

// testConsole cuts the connection while events are published, and counts the events of the console.
func (b *browser) testConsole(t *testing.T) {
	const before, total = 21, 70
	s := serve(t)
	page, consoleErrors := b.openConsole(t, s, "?user=42")
	page.awaitState("Connected")
	p := newProducer(t, s)
	p.publish(1, before)
	page.awaitNumber(before)

	run(page, chromedp.Click(`#cut`))
	page.awaitState("Cut")
	p.publish(before+1, total)
	page.awaitState("Connected")
	page.awaitNumber(total)
	page.wantRows(t, numbersOf(me, total))
	missed := len(since(before, total))
	if got := eval[int](page, `document.querySelectorAll('tr.again').length`); got != missed {
		t.Errorf("%d rows are marked as redelivered, want %d", got, missed)
	}
	page.await(fmt.Sprintf(`[...document.querySelectorAll('tr.mark')].some(r => /^Cut for [0-9.]+ s, %d events redelivered$/.test(r.textContent))`, missed))

	page.publish("greeting", `{"text":"from the page 🌊"}`)
	page.await(`document.querySelector('#publish-note').textContent.startsWith('Stored at ')`)
	page.await(shows("greeting", "notifications.user.42", "from the page 🌊"))
	page.publish("greeting", "x", `bad subject`)
	page.await(`document.querySelector('#publish-note').className.includes('bad')`)
	page.awaitNode("Connections", "1")
	page.awaitNode("Stored", "1 – 71")
	if left := consoleErrors.without("/publish"); len(left) > 0 { // the rejected publish is one of them
		t.Errorf("the page: %s", strings.Join(left, "\n"))
	}

	for _, width := range []int64{360, 390, 768} {
		run(page, chromedp.EmulateViewport(width, 800))
		if overflow := eval[int](page, `document.documentElement.scrollWidth - innerWidth`); overflow > 0 {
			t.Errorf("at %d px the page is %d px too wide", width, overflow)
		}
	}
}

// without returns the errors that contain none of the texts.
func (c *consoleErrors) without(texts ...string) (others []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.found), func(found string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(found, text) })
	})
}

// testConsoleEnd publishes events with the form, and follows their subject until the last one.
func (b *browser) testConsoleEnd(t *testing.T) {
	s := serve(t)
	page, consoleErrors := b.openConsole(t, s, "?user=42&subject=notifications.topic.run&until=end")
	page.awaitState("Connected")
	page.publish("progress", `{"step":1}`, "notifications.topic.run")
	page.await(shows("progress", "notifications.topic.run", `{"step":1}`))
	run(page, chromedp.Click(`#publish [name=end]`))
	page.publish("done", `{"result":2}`, "notifications.topic.run")
	page.await(shows("done", "notifications.topic.run", `{"result":2}`))
	page.awaitState("Complete")
	page.await(`document.querySelector('tr.mark').textContent.startsWith('Complete')`)

	// Connect again, behind the end: the node answers 204.
	if from := eval[string](page, `(f => f.disabled + ' ' + f.value + f.placeholder)(document.querySelector('#connect [name=from]'))`); from != "true the first event" {
		t.Errorf("From shows %q", from)
	}
	eval[bool](page, `window.requests = 0, window.browserFetch = fetch, window.fetch = (url, init) => {
		if (new URL(url).pathname === '/events') requests++;
		return browserFetch(url, init);
	}, true`)
	run(page, chromedp.Click(`#connect-button`))
	page.await(`requests > 0 && [...document.querySelectorAll('tr.mark')].filter(r => r.textContent.startsWith('Complete')).length === 2`)
	page.awaitState("Complete")
	if got := eval[int](page, `requests`); got != 1 {
		t.Errorf("the console sent %d requests behind the end, want 1", got)
	}
	run(page, chromedp.Click(`#connect [name=until]`))
	if from := eval[string](page, `(f => f.disabled + ' ' + f.value)(document.querySelector('#connect [name=from]'))`); from != "false new" {
		t.Errorf("without the end, From shows %q", from)
	}
	s.awaitStreams(0)
	consoleErrors.want(t)
}

// testConsoleProblems: a position that cannot be parsed, a feed that rejects the request, a node that is killed.
func (b *browser) testConsoleProblems(t *testing.T) {
	s := serve(t)
	p := newProducer(t, s)
	p.publish(1, 7)
	page, _ := b.openConsole(t, s, "?user=42&from=3-zzzzzz")
	page.await(`[...document.querySelectorAll('tr.mark.bad')].some(r => r.textContent.startsWith('Gap (epoch)'))`)
	page.wantRows(t, numbersOf(me, 7))

	s.kill()
	page.awaitState("Connection lost")
	page.publish("greeting", "nobody takes it")
	page.await(`document.querySelector('#publish-note').textContent.startsWith('Not known to be stored')`)
	page.await(`document.querySelector('#node-status').textContent === 'The node does not answer'`)
	s.start()
	page.awaitState("Connected")
	p.publish(8, 14)
	page.wantRows(t, numbersOf(me, 14))

	run(page, chromedp.SetValue(`#connect [name=subject]`, "secret.>"))
	run(page, chromedp.Click(`#connect-button`))
	page.awaitState("Rejected")
	page.await(`document.querySelector('#connection-note').textContent.includes('secret.>')`)
}

// testConsoleKeyboard reaches and uses all controls by keyboard.
func (b *browser) testConsoleKeyboard(t *testing.T) {
	s := serve(t)
	newProducer(t, s).publish(1, 3)
	page, consoleErrors := b.openConsole(t, s, "?user=42&from=all")
	page.awaitState("Connected")
	page.awaitNumber(3)
	run(page, chromedp.KeyEvent(kb.Tab))
	if got := eval[string](page, `document.activeElement.textContent`); got != "Skip to the events" {
		t.Errorf("the first stop is %q", got)
	}
	var stops []string
	for range 24 {
		run(page, chromedp.KeyEvent(kb.Tab))
		at := eval[string](page, `(a => a.id || a.name || a.tagName)(document.activeElement)`)
		if at == "BODY" {
			break
		}
		if eval[bool](page, `getComputedStyle(document.activeElement).outlineStyle === 'none'`) {
			t.Errorf("the focus on %s cannot be seen", at)
		}
		stops = append(stops, at)
		if at == "scroller" {
			page.walkRows(t)
		}
	}
	want := "feed user subject from token until connect-button disconnect cut filter order pause clear scroller"
	if got := strings.Join(stops, " "); !strings.HasPrefix(got, want) || !strings.Contains(got, "publish-button") {
		t.Errorf("the way of the focus is %s, want %s ... publish-button", got, want)
	}
	consoleErrors.want(t)
}

// walkRows moves into the table, opens an event, and returns to the scroller.
func (p *tab) walkRows(t *testing.T) {
	t.Helper()
	run(p, chromedp.KeyEvent(kb.ArrowDown))
	run(p, chromedp.KeyEvent(kb.ArrowDown))
	run(p, chromedp.KeyEvent(kb.Enter))
	if got := eval[string](p, `(a => a.closest('tr').event.data.split(' ')[0] + a.getAttribute('aria-expanded'))(document.activeElement)`); got != "2true" {
		t.Errorf("two down and Enter: %q", got)
	}
}

// testConsoleMany publishes many events. The console counts all of them and keeps a bounded number of rows.
func (b *browser) testConsoleMany(t *testing.T) {
	const total = 4000
	s := serve(t)
	page, consoleErrors := b.openConsole(t, s, "?user=42")
	page.awaitState("Connected")
	js := newProducer(t, s).js
	for n := range total {
		if _, err := js.PublishAsync("notifications.broadcast", fmt.Appendf(nil, `{"n":%d}`, n+1), jetstream.WithMsgID(fmt.Sprint("many-", n))); err != nil {
			t.Fatal(err)
		}
		if n%500 == 499 {
			<-js.PublishAsyncComplete()
		}
	}
	page.await(fmt.Sprintf(`document.querySelector('#count').textContent === '%d,000 received'`, total/1000))
	page.await(fmt.Sprintf(`document.querySelector('tbody tr').event.data === '{"n":%d}'`, total))
	if got := eval[int](page, `document.querySelectorAll('tbody tr').length`); got != 1000 {
		t.Errorf("the page has %d rows, want 1000", got)
	}
	if !eval[bool](page, `[...document.querySelectorAll('tbody tr')].every((r, i) => JSON.parse(r.event.data).n === 4000 - i)`) {
		t.Error("the rows are not the last thousand in order")
	}
	consoleErrors.want(t)
}

// publish fills in the form and sends it.
func (p *tab) publish(typ, data string, subject ...string) {
	p.t.Helper()
	for _, s := range subject {
		run(p, chromedp.SetValue(`#publish [name=subject]`, s))
	}
	run(p, chromedp.SetValue(`#publish [name=event]`, typ))
	run(p, chromedp.SetValue(`#publish [name=data]`, data))
	run(p, chromedp.Click(`#publish-button`))
}

func (p *tab) awaitState(text string) {
	p.t.Helper()
	p.await(fmt.Sprintf(`document.querySelector('#state').textContent.startsWith(%q)`, text))
}

// awaitNumber waits for a numbered event in the table.
func (p *tab) awaitNumber(n int) {
	p.t.Helper()
	p.await(fmt.Sprintf(`(%s).includes(%d)`, rowNumbers, n))
}

// rowNumbers evaluates to the numbers of the events in the table, oldest first.
const rowNumbers = `[...document.querySelectorAll('tbody tr')].filter(r => r.event && parseInt(r.event.data)).map(r => parseInt(r.event.data)).reverse()`

func (p *tab) wantRows(t *testing.T, want []int) {
	t.Helper()
	wantExactly(t, "the console", want, func() []int { return eval[[]int](p, rowNumbers) })
}

func (p *tab) awaitNode(name, value string) {
	p.t.Helper()
	p.await(fmt.Sprintf(`[...document.querySelectorAll('#node dt')].some(dt => dt.textContent === %q && dt.nextSibling.textContent === %q)`, name, value))
}

// shows returns JavaScript that reports whether the console lists an event.
func shows(typ, subject, data string) (js string) {
	return fmt.Sprintf(`[...document.querySelectorAll('tbody tr')].some(r => r.event && r.querySelector('.type').textContent === %q && r.querySelector('.subject').textContent === %q && r.querySelector('button').textContent.includes(%q))`, typ, subject, data)
}
