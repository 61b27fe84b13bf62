package doctor

import (
	"context"
	"strings"
	"testing"
	"time"
)

// sent returns the parts of a response, and then its end.
func sent(t *testing.T, parts ...string) <-chan arrival {
	t.Helper()
	out := make(chan arrival)
	go func() {
		defer close(out)
		for _, part := range parts {
			select {
			case out <- arrival{text: part}:
			case <-t.Context().Done():
				return
			}
		}
	}()
	return out
}

func TestAwait_MarkAcrossParts_IsFound(t *testing.T) {
	many := strings.Split(strings.Repeat("x", 3*maxCollected)+"tidemark.open", "")
	for name, parts := range map[string][]string{
		"whole":     {"event: tidemark.open\n"},
		"two parts": {"event: tidem", "ark.open\n"},
		"bytes":     many,
		"late":      {strings.Repeat("x", 5*maxCollected), "tide", "mark.", "open"},
	} {
		t.Run(name, func(t *testing.T) {
			text, ended, err := await(t.Context(), sent(t, parts...), time.Minute, "tidemark.close", "tidemark.open")
			if err != nil || ended || !strings.Contains(text, "tidemark.open") {
				t.Errorf("ended %v, %v, with %d bytes", ended, err, len(text))
			}
			if len(text) > 2*maxCollected {
				t.Errorf("%d bytes were kept, more than twice %d", len(text), maxCollected)
			}
		})
	}
}

func TestAwait_EndlessResponseWithoutMark_KeepsBoundedText(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	parts := make([]string, 1000)
	for i := range parts {
		parts[i] = strings.Repeat("<p>", 1000)
	}
	text, ended, err := await(ctx, sent(t, parts...), time.Minute, "tidemark.open")
	cancel()
	if !ended || err != nil || len(text) > 2*maxCollected || len(text) < maxCollected {
		t.Errorf("ended %v, %v; %d of 3,000,000 bytes were kept", ended, err, len(text))
	}
}

func TestExcerpt_Page_IsOneBoundedLine(t *testing.T) {
	for body, want := range map[string]string{
		"no login\nsecond line":        "no login",
		"\n\n  first  line \r\nsecond": "first line",
		"<html><head>\n<TITLE lang=en>Sign\n in</TITLE></head><body>hello": "Sign in",
		"<title></title>\n<p>":            "<title></title>",
		"":                                "",
		"broken \xff":                     "broken ?",
		strings.Repeat("ä", maxExcerpt+1): strings.Repeat("ä", maxExcerpt) + "...",
	} {
		if got := excerpt(body); got != want {
			t.Errorf("%q is quoted as %q, want %q", body, got, want)
		}
	}
}
