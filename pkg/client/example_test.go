package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/tidemark/tidemark/pkg/client"
	"github.com/tidemark/tidemark/pkg/sse"
)

func ExampleFollow() {
	// The server sends one event to each connection and then aborts it.
	seq := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		seq++
		w.Header().Set("Content-Type", sse.ContentType)
		_, _ = w.Write(sse.AppendEvent(nil, sse.Event{
			Type: "greeting",
			Data: fmt.Appendf(nil, "hello %d", seq),
			ID:   fmt.Appendf(nil, "%d-k7f3q9", seq),
		}))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer srv.Close()

	opts := client.Options{URL: srv.URL, From: "all", HTTPClient: srv.Client(), MinBackoff: 1, MaxBackoff: 1}
	for ev, err := range client.Follow(context.Background(), opts) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %s: %s\n", ev.ID, ev.Type, ev.Data)
		if ev.ID == "3-k7f3q9" {
			break
		}
	}
	// Output:
	// 1-k7f3q9 greeting: hello 1
	// 2-k7f3q9 greeting: hello 2
	// 3-k7f3q9 greeting: hello 3
}
