package server_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/server"
)

// BenchmarkReplay reads 100,000 stored events through one connection as fast as possible. An operation is one such
// replay.
func BenchmarkReplay(b *testing.B) {
	const events = 100_000
	url, _ := startNATS(b, "127.0.0.1:0", b.TempDir())
	opts := options(b, url)
	opts.Window.Events = 64
	srv, err := server.New(b.Context(), opts)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Errorf("Run: %v", err)
		}
	})
	storeForReplay(b, url, events)
	for b.Loop() {
		readReplay(b, srv.Addr().String(), events)
	}
	b.ReportMetric(float64(b.N)*events/b.Elapsed().Seconds(), "events/s")
}

// storeForReplay stores n events of 200 bytes once the stream exists.
func storeForReplay(b *testing.B, url string, n int) {
	nc, err := nats.Connect(url)
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	data := bytes.Repeat([]byte("x"), 200)
	for {
		if _, err := js.Publish(b.Context(), "notifications.broadcast", data); err == nil {
			break
		}
	}
	for i := 1; i < n; i++ {
		if _, err := js.PublishAsync("notifications.broadcast", data); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 0 || i == n-1 {
			<-js.PublishAsyncComplete()
		}
	}
}

func readReplay(b *testing.B, addr string, n int) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /events?user=42&from=all HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	lines := bufio.NewReaderSize(c, 256<<10)
	last := fmt.Appendf(nil, "id: %d-", n)
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			b.Fatal(err)
		}
		if bytes.HasPrefix(line, last) {
			return
		}
	}
}
