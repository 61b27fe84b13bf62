package e2e_test

import (
	"os"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// testDocs opens the API documentation, whose browser console must stay empty: a policy that blocks a part of
// Swagger UI is reported only there.
func (b *browser) testDocs(t *testing.T) {
	s := serve(t)
	page := b.open(t, "about:blank")
	var mu sync.Mutex
	var consoleErrors []string
	complain := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		consoleErrors = append(consoleErrors, text)
	}
	err := chromedp.Listen(page.ctx, func(ev any) {
		switch ev := ev.(type) {
		case *log.EventEntryAdded:
			complain(string(ev.Entry.Level) + ": " + ev.Entry.Text)
		case *runtime.EventConsoleAPICalled:
			complain("console." + string(ev.Type))
		case *runtime.EventExceptionThrown:
			complain(ev.ExceptionDetails.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	run(page, chromedp.Navigate(s.url("/docs")))
	page.await(`document.querySelectorAll('.opblock').length >= 9`)
	run(page, chromedp.Click(`#operations-feeds-subscribe-notifications-1 .opblock-summary-control`))
	page.await(`document.querySelector('.opblock.is-open .parameters') !== null`)
	page.await(`document.body.textContent.includes('Last-Event-ID')`)
	if dir := os.Getenv("TIDEMARK_SCREENSHOTS"); dir != "" {
		page.screenshot(dir, "docs", "light", 1280, 2000)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, text := range consoleErrors {
		t.Error(text)
	}
}
