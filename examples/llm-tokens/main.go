// The program llm-tokens stores the answer of a language model as events, token by token, while the model writes
// it. Every tab that follows the run shows the same text, also after a reload and after the loss of a node.
//
// It has three parts: a page, a stand-in for a model with the event stream of chat completions, and the pipe
// from the model to the node (POST /publish/{subject} with an event stream). It needs a node with this
// directory's configuration at NODE (http://127.0.0.1:8080), and serves at ADDR (127.0.0.1:8090):
//
//	go run ./cmd/tidemark serve --dev --config examples/llm-tokens/tidemark.yaml
//	go run ./examples/llm-tokens
//
// Instead of this program, curl can be the pipe:
//
//	set -o pipefail
//	curl -fN http://127.0.0.1:8090/v1/chat/completions |
//	  curl --fail-with-body -T - -X POST -H 'Content-Type: text/event-stream' http://127.0.0.1:8080/publish/runs.alice.7
package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/tidemark/tidemark/pkg/web"
)

//go:embed index.html
var page string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	pause, err := time.ParseDuration(cmp.Or(os.Getenv("PAUSE"), "50ms"))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8090"))
	if err != nil {
		return err
	}
	node := cmp.Or(os.Getenv("NODE"), "http://127.0.0.1:8080")
	events := cmp.Or(os.Getenv("EVENTS"), node+"/events?user=alice")
	p := pipe{node: node, model: "http://" + l.Addr().String() + "/v1/chat/completions"}

	mux := http.NewServeMux()
	mux.Handle("/client.js", web.Client())
	mux.Handle("/v1/chat/completions", model{pause})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = template.Must(template.New("page").Parse(page)).Execute(w, events)
	})
	mux.HandleFunc("POST /runs/{run}", func(w http.ResponseWriter, r *http.Request) {
		number, err := strconv.Atoi(r.PathValue("run")) // a program with users also checks that the run is theirs
		if err != nil {
			http.Error(w, "a run has a number", http.StatusNotFound)
			return
		}
		go func() {
			if err := p.run(ctx, fmt.Sprintf("runs.alice.%d", number), strconv.Itoa(number)); err != nil {
				log.Printf("run %d: %v", number, err)
			}
		}()
		w.WriteHeader(http.StatusAccepted)
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	fmt.Printf("serving at http://%s\n", l.Addr())
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
