// Command go follows a feed with a client library of others, r3labs/sse or tmaxmax/go-sse, and
// prints the data of each event, a line each, cut after the number that it begins with. It is a
// module of its own, so that users of Tidemark's packages download neither.
//
// A line "ended" tells that the library has given up; it is then started anew where it was.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	r3labs "github.com/r3labs/sse/v2"
	tmaxmax "github.com/tmaxmax/go-sse"
	"gopkg.in/cenkalti/backoff.v1"
)

func main() {
	follow := map[string]func(url string){"r3labs/sse": withR3labs, "tmaxmax/go-sse": withTmaxmax}[os.Args[1]]
	follow(os.Args[2])
}

func took(data []byte) {
	var n int
	_, _ = fmt.Sscanf(string(data), "%d", &n)
	fmt.Println(n)
}

func ended(err error) {
	fmt.Println("ended", err)
	time.Sleep(100 * time.Millisecond)
}

// withR3labs keeps its client over the ends, as that has the position.
func withR3labs(url string) {
	c := r3labs.NewClient(url, r3labs.ClientMaxBufferSize(2<<20))
	c.ReconnectStrategy = backoff.NewConstantBackOff(100 * time.Millisecond)
	var last string
	for {
		ended(c.SubscribeRawWithContext(context.Background(), func(e *r3labs.Event) {
			// An event that was cut off in the middle comes, too, with what there is of its data
			// and the id before it, as Tidemark sends ids last. It comes again, whole.
			if id := string(e.ID); id != last {
				last = id
				if len(e.Event) == 0 {
					took(e.Data)
				}
			}
		}))
	}
}

// withTmaxmax keeps the position itself: each connection of the library has one of its own.
func withTmaxmax(url string) {
	c := tmaxmax.Client{Backoff: tmaxmax.Backoff{InitialInterval: 100 * time.Millisecond, Multiplier: 1}}
	var last string
	for {
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			panic(err)
		}
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		conn := c.NewConnection(req)
		conn.Buffer(nil, 2<<20)
		conn.SubscribeToAll(func(e tmaxmax.Event) {
			last = e.LastEventID
			if e.Type == "" {
				took([]byte(e.Data))
			}
		})
		ended(conn.Connect())
	}
}
