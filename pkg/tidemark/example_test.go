package tidemark_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/pkg/sse"
	"github.com/tidemark/tidemark/pkg/tidemark"
)

// A program that mounts a feed in its mux, and publishes to one of its users.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	nc, stop := exampleNATS(ctx) // in your program: nats.Connect(url, tidemark.NATSOptions()...)
	defer stop()

	f, err := tidemark.Open(ctx, nc, tidemark.Options{
		Stream:   "NEWS",
		Subjects: []string{"news.all", "news.user.{user}"},
		Identify: auth.TrustedHeader("X-User", "127.0.0.1"), // the gateway's address
	})
	check(err)
	mux := http.NewServeMux()
	mux.Handle("/events", f)
	srv := httptest.NewServer(mux) // or f.Serve(listener, mux), for connections without goroutines
	defer srv.Close()
	defer f.Close()

	for _, m := range []tidemark.Message{
		{Subject: "news.all", Data: []byte("hello, everybody")},
		{User: "7", Data: []byte("hello, 7")},
		{User: "42", Type: "greeting", Data: []byte("hello, 42")},
	} {
		ack, err := f.Publish(ctx, m)
		check(err)
		fmt.Println("stored as", ack.Position)
	}

	// A client that has received the first event and reconnects, as EventSource does by itself.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/events", nil)
	check(err)
	req.Header.Set("X-User", "42")
	req.Header.Set("Last-Event-ID", "1-demo")
	resp, err := http.DefaultClient.Do(req)
	check(err)
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	events := sse.NewDecoder(resp.Body)
	for range 2 {
		ev, err := events.Next()
		check(err)
		if ev.Type != "tidemark.open" {
			fmt.Printf("received %s %s: %s\n", ev.Type, ev.ID, ev.Data)
		}
	}

	// Output:
	// stored as 1-demo
	// stored as 2-demo
	// stored as 3-demo
	// received greeting 3-demo: hello, 42
}

// exampleNATS runs a NATS server with the stream NEWS, and connects to it.
func exampleNATS(ctx context.Context) (nc *nats.Conn, stop func()) {
	dir, err := os.MkdirTemp("", "tidemark-example-")
	check(err)
	srv, err := natsd.Start(ctx, natsd.Options{Addr: "127.0.0.1:0", Dir: dir})
	check(err)
	closed := make(chan struct{})
	nc, err = nats.Connect(srv.ClientURL(), append(tidemark.NATSOptions(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
	check(err)
	js, err := jetstream.New(nc)
	check(err)
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "NEWS", Subjects: []string{"news.>"},
		Metadata: map[string]string{"tidemark.epoch": "demo"}, // positions end with it; else with one made from the time
	})
	check(err)
	return nc, func() {
		nc.Close()
		<-closed
		srv.Stop()
		_ = os.RemoveAll(dir)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
