package report

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/tidemark/tidemark/internal/loadtest"
)

func TestProgress_Terminal_RewritesOneLine(t *testing.T) {
	var b strings.Builder
	p := NewProgress(&b, true)
	p.Done()
	p.Update(loadtest.Sample{Connected: 1200}, "connecting")
	p.Update(loadtest.Sample{At: 61 * time.Second, Connected: 10_000, Delivered: 1_000_000, P50: time.Millisecond, P99: time.Second, Max: time.Minute}, "measuring\n")
	p.Done()
	p.Done()
	got := b.String()
	if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") || strings.Count(got, "\r") != 2 {
		t.Errorf("not one line rewritten: %q", got)
	}
	for _, s := range []string{"connecting", "1:01", "10,000 open", "1,000,000/s", "p50 1.00 ms", "p99 1.00 s"} {
		if !strings.Contains(got, s) {
			t.Errorf("%q is missing in %q", s, got)
		}
	}
}

func TestProgress_Terminal_FitsItsWidth(t *testing.T) {
	for name, r := range runs() {
		for _, s := range r.Series {
			var b strings.Builder
			NewProgress(&b, true).Update(s, "a phase of many words")
			line := strings.TrimSuffix(strings.TrimPrefix(b.String(), "\r"), "\x1b[K")
			if utf8.RuneCountInString(line) > lineWidth {
				t.Fatalf("%s: %q is too long", name, line)
			}
		}
	}
}

func TestProgress_Pipe_HasFewLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		p := NewProgress(&b, false)
		for i := range 12 {
			phase := "connecting"
			if i >= 2 {
				phase = "measuring"
			}
			p.Update(loadtest.Sample{At: time.Duration(i) * time.Second}, phase)
			time.Sleep(time.Second)
		}
		p.Done()
		var at []string
		for line := range strings.Lines(b.String()) {
			at = append(at, strings.Fields(line)[1])
		}
		if got := strings.Join(at, " "); got != "0:00 0:02 0:07" {
			t.Errorf("lines at %s in\n%s", got, b.String())
		}
		if strings.ContainsAny(b.String(), "\r\x1b") {
			t.Errorf("control characters in %q", b.String())
		}
	})
}
