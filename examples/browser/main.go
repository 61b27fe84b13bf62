// The program browser serves a page that follows a feed with EventSource, which every browser has. It reconnects by
// itself, at the position of the last event that it received, and gives up on any status but 200.
// The page shows a lost stretch (tidemark.gap) instead of hiding it.
//
// It needs a NATS server with JetStream, at NATS_URL (nats://127.0.0.1:4222 when empty), and serves at
// ADDR (127.0.0.1:8090). Publish to it with the nats CLI:
//
//	go run ./examples/browser
//	nats pub example.all 'hello'
package main

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/pkg/tidemark"
)

//go:embed index.html
var page []byte

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8090")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, natsURL, addr string) error {
	nc, err := nats.Connect(natsURL, tidemark.NATSOptions()...)
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := createStream(ctx, nc); err != nil {
		return err
	}
	f, err := tidemark.Open(ctx, nc, tidemark.Options{Stream: "EXAMPLE", Subjects: []string{"example.all"}})
	if err != nil {
		return err
	}
	defer f.Close()

	mux := http.NewServeMux()
	mux.Handle("/events", f)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- f.Serve(l, mux) }()
	fmt.Printf("serving at http://%s\n", l.Addr())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if err := f.Drain(ctx); err != nil { // also stops Serve
		return err
	}
	return <-served
}

func createStream(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "EXAMPLE", Subjects: []string{"example.>"}, MaxAge: 24 * time.Hour})
	return err
}
