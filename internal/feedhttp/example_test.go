package feedhttp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natsd"
	"github.com/tidemark/tidemark/internal/publish"
	"github.com/tidemark/tidemark/internal/streamdef"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/pkg/sse"
)

// A plain net/http program that serves a stream of its own NATS connection.
func ExampleSubscribe() {
	ctx, cancel := context.WithCancel(context.Background())

	// Any NATS server with JetStream does. This one lives as long as the example.
	nc, stopNATS := startNATS(ctx)
	defer stopNATS()
	js, err := jetstream.New(nc)
	check(err)
	_, err = streamdef.Provision(ctx, js, jetstream.StreamConfig{
		Name: "NEWS", Subjects: []string{"news.>"},
		Metadata: map[string]string{"tidemark.epoch": "demo"}, // else it is drawn from the time
	}, false)
	check(err)

	// The feed follows the stream, for all connections at once.
	stored, err := jetstore.Open(nc, jetstore.Options{Stream: "NEWS"})
	check(err)
	defer stored.Close()
	news := feed.New(stored, feed.Options{})
	var tail sync.WaitGroup
	tail.Go(func() { _ = news.Run(ctx) }) // until ctx ends
	defer tail.Wait()
	defer cancel()

	publisher, err := publish.New(nc, publish.Options{})
	check(err)
	defer publisher.Close()

	events := feedhttp.NewSubscribe(feedhttp.SubscribeOptions{
		Feed: news, Stream: "NEWS", Identify: auth.Header(auth.HeaderOptions{Trusted: auth.AnyAddress()}).Identify,
		Selection: feedhttp.Selection{
			Defaults: []subject.Template{template("news.all"), template("news.user.{user}")},
			Allow:    []subject.Template{template("news.topic.>")},
		},
	})
	mux := http.NewServeMux()
	mux.Handle("/events", events)
	mux.Handle("/publish", feedhttp.NewPublish(feedhttp.PublishOptions{
		Publisher: publisher,
	}))
	srv := &http.Server{Handler: mux} // no WriteTimeout: each write has its own
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() { _ = srv.Serve(l) }()
	defer func() {
		_ = events.Drain(ctx, 5*time.Second) // first, since Shutdown waits for streams without ending them
		_ = srv.Shutdown(ctx)
	}()

	url := "http://" + l.Addr().String()
	tryIt(url+"/publish", url+"/events")

	// Output:
	// 200 {"stream":"NEWS","seq":1,"position":"1-demo"}
	// 200 {"stream":"NEWS","seq":2,"position":"2-demo"}
	// 200 {"stream":"NEWS","seq":3,"position":"3-demo"}
	// 200 {"stream":"NEWS","seq":4,"position":"4-demo"}
	// tidemark.open: resumed after 1-demo
	// greeting 3-demo: hello, 42
	// greeting 4-demo: goodbye, all
}

// tryIt publishes to all and to two users, and reads the events that one of them has missed.
func tryIt(publishURL, eventsURL string) {
	for _, body := range []string{
		`{"subject":"news.all","event":"greeting","data":"hello, everybody"}`,
		`{"subject":"news.user.7","event":"greeting","data":"hello, 7"}`,
		`{"subject":"news.user.42","event":"greeting","data":"hello, 42"}`,
		`{"subject":"news.all","event":"greeting","data":"goodbye, all"}`,
	} {
		resp, err := http.Post(publishURL, "application/json", strings.NewReader(body))
		check(err)
		answer, err := io.ReadAll(resp.Body)
		check(err)
		check(resp.Body.Close())
		fmt.Printf("%d %s", resp.StatusCode, answer)
	}
	req, err := http.NewRequest(http.MethodGet, eventsURL, nil)
	check(err)
	req.Header.Set("X-User", "42")
	req.Header.Set("Last-Event-ID", "1-demo") // an EventSource sends it by itself
	resp, err := http.DefaultClient.Do(req)
	check(err)
	defer http.DefaultClient.CloseIdleConnections()
	defer func() { _ = resp.Body.Close() }()
	for stream := sse.NewDecoder(resp.Body); stream.LastEventID() != "4-demo"; {
		ev, err := stream.Next()
		check(err)
		printEvent(ev)
	}
}

func printEvent(ev sse.Event) {
	if ev.Type != feedhttp.TypeOpen {
		fmt.Printf("%s %s: %s\n", ev.Type, ev.ID, ev.Data)
		return
	}
	var open feedhttp.OpenEvent
	check(json.Unmarshal(ev.Data, &open))
	fmt.Printf("%s: resumed after %s\n", ev.Type, open.Position) // Pending is as of now: a stored event may not have been seen yet
}

// startNATS runs a server in a directory of its own, and connects to it.
func startNATS(ctx context.Context) (nc *nats.Conn, stop func()) {
	dir, err := os.MkdirTemp("", "tidemark-example-")
	check(err)
	srv, err := natsd.Start(ctx, natsd.Options{Addr: "127.0.0.1:0", Dir: dir})
	check(err)
	nc, err = natsconn.Connect(ctx, natsconn.Options{URL: srv.ClientURL(), Wait: true})
	check(err)
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	return nc, func() {
		nc.Close()
		<-closed
		srv.Stop()
		_ = os.RemoveAll(dir)
	}
}

func template(text string) subject.Template {
	t, err := subject.ParseTemplate(text)
	check(err)
	return t
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
