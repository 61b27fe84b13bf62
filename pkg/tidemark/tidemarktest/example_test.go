package tidemarktest_test

import (
	"testing"

	"github.com/tidemark/tidemark/pkg/sse"
	"github.com/tidemark/tidemark/pkg/tidemark"
	"github.com/tidemark/tidemark/pkg/tidemark/tidemarktest"
)

// In a test: publish, connect, and compare. TestFeed_InAProgram_ServesItsHandlers is such a test.
func Example() {
	var t *testing.T // of your test

	f := tidemarktest.New(t, tidemark.Options{Subjects: []string{"news.all"}})
	if _, err := f.Publish(t.Context(), tidemark.Message{Subject: "news.all", Data: []byte("hi")}); err != nil {
		t.Fatal(err)
	}
	resp, err := f.Client().Get("http://feed/events?from=all") //nolint:noctx // it ends with the feed
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := sse.NewDecoder(resp.Body)
	for {
		ev, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ev.Type == "" && string(ev.Data) == "hi" { // tidemark.open comes first
			break
		}
	}
}
