// The program embed-engine serves a mux with Tidemark's engine: connections of the feed cost no
// goroutine, and a fraction of the memory. Users come from the header X-User of a gateway on this
// machine. It needs a NATS server with JetStream, at NATS_URL (nats://127.0.0.1:4222 when empty), and
// serves at ADDR (127.0.0.1:8090).
//
//	go run ./examples/embed-engine
//	curl -N -H 'X-User: 42' 'http://127.0.0.1:8090/events'
//	curl -d 'your order has been shipped' 'http://127.0.0.1:8090/notify/42'
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/pkg/auth"
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
	f, err := tidemark.Open(ctx, nc, tidemark.Options{
		Stream:   "EXAMPLE",
		Subjects: []string{"example.all", "example.user.{user}"},
		Identify: auth.TrustedHeader("X-User", "127.0.0.1"),
		Limits:   tidemark.Limits{PerUser: 10},
		Logger:   slog.Default(),
	})
	if err != nil {
		return err
	}
	defer f.Close()

	mux := http.NewServeMux()
	mux.Handle("/events", f)
	mux.Handle("POST /notify/{user}", notify(f))

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

// notify publishes a body to one user, and answers with the position of the event.
func notify(f *tidemark.Feed) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ack, err := f.Publish(r.Context(), tidemark.Message{User: r.PathValue("user"), Type: "notice", Data: text})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		fmt.Fprintln(w, ack.Position)
	})
}

func createStream(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "EXAMPLE", Subjects: []string{"example.>"}, MaxAge: 24 * time.Hour})
	return err
}
