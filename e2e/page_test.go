package e2e_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
)

// testPage uses the service's own page as a visitor does.
func (e engines) testPage(t *testing.T) {
	b := e.only(t, chromiumEngine)
	s := serve(t)
	page := b.open(t, s.url("/?user=42&subject=notifications.topic.%3E"))
	page.awaitState("live")

	page.publish("greeting", `{"text":"from the page 🌊"}`)
	page.await(shows("greeting", `{"text":"from the page 🌊"}`))
	page.publish("shipped", "a type that the page did not listen to")
	page.await(shows("shipped", "did not listen"))

	p := newProducer(t, s)
	p.publish(1, 14)
	page.await(shows("message", "14 "))

	s.kill()
	page.awaitState("reconnecting")
	page.publish("greeting", "nobody takes it")
	page.await(`document.querySelector('#note').textContent.startsWith('not known to be stored')`)
	page.screenshot("page-lost", 1280, 900)
	s.start()
	page.awaitState("live")

	// A visitor who connects again gets what was missed.
	run(page, chromedp.Click(`#stop`))
	page.awaitState("not connected")
	p.publish(15, 20)
	run(page, chromedp.Click(`#listen button`))
	p.publish(21, 21)
	page.await(shows("message", "21 "))
	page.wantCount(2 + len(numbersOf(me, 21)))

	page.screenshot("page-wide", 1280, 900)
	page.screenshot("page-narrow", 390, 844)
	if overflow := eval[int](page, `document.documentElement.scrollWidth - innerWidth`); overflow > 0 {
		t.Errorf("at 390 px the page is %d px too wide", overflow)
	}
}

// testPageProblems shows what goes wrong: a gap, and a feed that refuses.
func (e engines) testPageProblems(t *testing.T) {
	b := e.only(t, chromiumEngine)
	s := serve(t)
	newProducer(t, s).publish(1, 7)
	page := b.open(t, s.url("/?last_event_id=nonsense"))
	page.await(shows("tidemark.gap", `"reason":"malformed"`))
	page.screenshot("page-gap", 390, 844)

	run(page, chromedp.SetValue(`#listen [name=subject]`, "secret.>"))
	run(page, chromedp.Click(`#listen button`))
	page.awaitState("refused")
	page.await(`document.querySelector('#note').textContent.includes('secret.>')`)
	page.screenshot("page-refused", 1280, 900)
}

// publish fills in the page's form and sends it.
func (p *tab) publish(typ, data string) {
	p.t.Helper()
	run(p, chromedp.SetValue(`#send [name=event]`, typ))
	run(p, chromedp.SetValue(`#send [name=data]`, data))
	run(p, chromedp.Click(`#send button`))
}

func (p *tab) awaitState(text string) {
	p.t.Helper()
	p.await(fmt.Sprintf(`document.querySelector('#state').textContent.includes(%q)`, text))
}

func (p *tab) wantCount(events int) {
	p.t.Helper()
	if got := eval[string](p, `document.querySelector('#count').textContent`); got != fmt.Sprintf("%d events", events) {
		p.t.Errorf("the page counts %s, want %d", got, events)
	}
}

// shows tests whether the page lists an event whose data contains some text.
func shows(typ, data string) (js string) {
	return fmt.Sprintf(`[...document.querySelectorAll('#events li')].some(li => li.querySelector('b').textContent === %q && li.querySelector('pre').textContent.includes(%q))`, typ, data)
}
