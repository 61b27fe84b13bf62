// Command go follows a feed with a client library of others, r3labs/sse or tmaxmax/go-sse, and prints the number at the
// beginning of the data of each event, one a line. It is a module of its own, so that users of Tidemark's packages
// download neither library.
//
// A line "ended" reports that the library has given up; the command then starts it again at its position.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
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

// withR3labs uses one client for all connections, as the client keeps the position.
func withR3labs(url string) {
	c := r3labs.NewClient(url, r3labs.ClientMaxBufferSize(2<<20))
	c.ReconnectStrategy = backoff.NewConstantBackOff(100 * time.Millisecond)
	var last, epoch string
	for {
		ended(c.SubscribeRawWithContext(context.Background(), func(e *r3labs.Event) {
			if string(e.Event) == "tidemark.open" {
				epoch = cmp.Or(epochOf(e.Data), epoch)
			}
			// The library delivers an event that was cut, with part of its data and the previous id, as Tidemark sends
			// ids last. The event is delivered again as a whole.
			id := string(e.ID)
			if id == last {
				return
			}
			// A cut within the id: the library has stored a part of it as the position.
			if epoch == "" || !strings.HasSuffix(id, "-"+epoch) {
				c.LastEventID.Store([]byte(last))
				return
			}
			last = id
			if len(e.Event) == 0 {
				took(e.Data)
			}
		}))
	}
}

// epochOf returns the epoch of the stream from the data of tidemark.open; empty if the data was cut.
func epochOf(data []byte) string {
	var open struct{ Position string }
	_ = json.Unmarshal(data, &open)
	_, epoch, _ := strings.Cut(open.Position, "-")
	return epoch
}

// withTmaxmax keeps the position itself, as a new connection of the library has none.
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
