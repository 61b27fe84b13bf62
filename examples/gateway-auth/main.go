// The program gateway-auth is a feed behind nginx, whose users come from a login service: nginx sends the head of each request for
// events to the service (auth_request), and passes the request on with the user in X-User. The page
// logs in, shows the events of the user, and sends messages to other users.
//
// The login service is a part of this program, and could be another one. The feed trusts X-User from nginx on this machine
// alone. A logout closes the connections of the user.
//
// It needs a NATS server with JetStream, at NATS_URL (nats://127.0.0.1:4222 when empty), and serves at
// ADDR (127.0.0.1:8090). nginx serves at 127.0.0.1:8091:
//
//	go run ./examples/gateway-auth
//	mkdir -p /tmp/gateway-auth && nginx -p /tmp/gateway-auth -c "$PWD/examples/gateway-auth/nginx.conf"
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

	"github.com/tidemark/tidemark/pkg/auth"
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
	gateway, err := auth.ParsePrefixes("127.0.0.1")
	if err != nil {
		return err
	}
	f, err := tidemark.Open(ctx, nc, tidemark.Options{
		Stream: "EXAMPLE", Subjects: []string{"example.user.{user}"},
		// Expires: a connection ends with its session, and a request without the header is rejected.
		Identify: auth.Header(auth.HeaderOptions{User: "X-User", Expires: "X-User-Expires", Trusted: gateway}).Identify,
		Limits:   tidemark.Limits{TrustedProxies: gateway},
	})
	if err != nil {
		return err
	}
	defer f.Close()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	// Browsers send the cookie of the session also for forms of other pages: such requests are rejected.
	go func() { served <- f.Serve(l, http.NewCrossOriginProtection().Handler(routes(f))) }()
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

func routes(f *tidemark.Feed) http.Handler {
	s := &sessions{byID: make(map[string]session)}
	mux := http.NewServeMux()
	mux.Handle("GET /events", f)
	mux.Handle("POST /publish", f.PublishHandler(tidemark.PublishOptions{Identify: s.publisher}))
	mux.HandleFunc("GET /check", s.check)
	mux.HandleFunc("POST /login", s.logIn)
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if user := s.logOut(r); user != "" {
			if _, err := f.Revoke(auth.Revocation{User: user}); err != nil {
				log.Print(err)
			}
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	return mux
}

func createStream(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "EXAMPLE", Subjects: []string{"example.>"}, MaxAge: 24 * time.Hour})
	return err
}
