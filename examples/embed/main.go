// The program embed mounts a feed in the mux of a net/http program. It needs a NATS server with
// JetStream, at NATS_URL (nats://127.0.0.1:4222 when empty), and serves at ADDR (127.0.0.1:8090).
//
//	go run ./examples/embed
//	curl -N 'http://127.0.0.1:8090/events'
//	curl -d 'hello' 'http://127.0.0.1:8090/say'
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
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
	http.Handle("GET /events", f)

	http.HandleFunc("POST /say", func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err == nil {
			_, err = f.Publish(r.Context(), tidemark.Message{Subject: "example.all", Data: text})
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})
	return serve(ctx, f, addr)
}

// serve serves until ctx ends. It drains the feed first: Shutdown waits for its connections without
// ending them.
func serve(ctx context.Context, f *tidemark.Feed, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second} // no WriteTimeout: it would end connections
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	fmt.Printf("serving at http://%s\n", l.Addr())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return errors.Join(f.Drain(ctx), srv.Shutdown(ctx))
}

// createStream creates the stream. A program needs it where the stream may not exist.
func createStream(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "EXAMPLE", Subjects: []string{"example.>"}, MaxAge: 24 * time.Hour})
	return err
}
