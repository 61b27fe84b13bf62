package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/pkg/sse"
)

// eachTLS runs a test with each engine and each version of TLS. The test publishes over a socket of its own.
func eachTLS(t *testing.T, change func(*server.Options), test func(t *testing.T, r *harness, conf *tls.Config, publish func(data string))) {
	t.Helper()
	eachEngine(t, func(t *testing.T) {
		r := newTLSRig(t, change)
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tls.VersionName(version), func(t *testing.T) {
				r.t = t
				conf := &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}
				test(t, r, conf, r.publisherTLS(conf))
			})
		}
	})
}

// tlsFollower is a connection to a feed over HTTP/1.1 and TLS, of which a test has both layers.
type tlsFollower struct {
	*tls.Conn
	raw    net.Conn
	events *sse.Decoder
}

// followTLS opens a feed over a socket, and reads the first event.
func (r *harness) followTLS(raw net.Conn, conf *tls.Config) *tlsFollower {
	r.t.Helper()
	f := &tlsFollower{Conn: tls.Client(raw, conf), raw: raw}
	if _, err := io.WriteString(f, "GET "+me+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(f), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		r.t.Fatal(resp, err)
	}
	f.events = sse.NewDecoder(resp.Body)
	f.want(r.t, "tidemark.open")
	return f
}

// want reads events, each by its type, or by its data if it has none.
func (f *tlsFollower) want(t *testing.T, all ...string) {
	t.Helper()
	for _, want := range all {
		ev, err := f.events.Next()
		if got := ev.Type; err != nil || got != want && (got != "" || string(ev.Data) != want) {
			t.Fatalf("received %s %.20q, %v, want %.20q", got, ev.Data, err, want)
		}
	}
}

// ended reads until the server ends the connection. It fails the test if the server does not.
func (f *tlsFollower) ended(t *testing.T) {
	t.Helper()
	for {
		_, err := f.events.Next()
		if err == nil {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the connection is still open")
		}
		return
	}
}

// publisherTLS returns a function that stores an event for user 42, over one socket that stays open.
func (r *harness) publisherTLS(conf *tls.Config) (publish func(data string)) {
	transport := &http.Transport{TLSClientConfig: conf}
	r.t.Cleanup(transport.CloseIdleConnections)
	return func(data string) {
		r.t.Helper()
		resp, err := (&http.Client{Transport: transport}).Post("https://"+r.srv.Addr().String()+"/publish/notifications.user.42", "text/plain", strings.NewReader(data))
		if err != nil {
			r.t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body) // so that the socket is used again
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			r.t.Fatal(resp.Status)
		}
	}
}

// pieces is a socket whose every byte is sent alone.
type pieces struct{ net.Conn }

func (p pieces) Write(b []byte) (n int, err error) {
	for i := range b {
		if _, err := p.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func TestTLS_RecordsInPieces_AreServed(t *testing.T) {
	eachTLS(t, func(*server.Options) {}, func(t *testing.T, r *harness, conf *tls.Config, publish func(data string)) {
		f := r.followTLS(pieces{r.dial(false)}, conf)
		publish("one")
		f.want(t, "one")
	})
}

// A client that ends its side with close_notify has disconnected, like a client that closes its socket.
func TestTLS_CloseNotify_EndsTheConnection(t *testing.T) {
	eachTLS(t, withAdmin, func(t *testing.T, r *harness, conf *tls.Config, publish func(data string)) {
		other, f := r.followTLS(r.dial(false), conf), r.followTLS(r.dial(false), conf)
		if err := f.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		f.ended(t)
		publish("for the other one")
		other.want(t, "for the other one")
		other.Close()
		r.eventually("no connection", func() bool { return r.openConnections() == 0 })
	})
}

// openConnections returns the count that the admin listener reports.
func (r *harness) openConnections() (n int) {
	r.t.Helper()
	_, body := r.request(http.MethodGet, r.admin("/readyz"), "")
	if _, err := fmt.Sscan(field(body, "connections"), &n); err != nil {
		r.t.Fatalf("%s: %v", body, err)
	}
	return n
}

// A record that cannot be decrypted ends its connection with an alert, and no other.
func TestTLS_BadRecord_EndsTheConnectionWithAnAlert(t *testing.T) {
	eachTLS(t, func(*server.Options) {}, func(t *testing.T, r *harness, conf *tls.Config, publish func(data string)) {
		other, f := r.followTLS(r.dial(false), conf), r.followTLS(r.dial(false), conf)
		if _, err := f.raw.Write(append([]byte{23, 3, 3, 0, 40}, bytes.Repeat([]byte{7}, 40)...)); err != nil {
			t.Fatal(err)
		}
		for {
			_, err := f.events.Next()
			if err == nil {
				continue
			}
			if !strings.Contains(err.Error(), "remote error: tls: bad record MAC") {
				t.Errorf("the connection ended with %v", err)
			}
			break
		}
		publish("for the other one")
		other.want(t, "for the other one")
	})
}

// A client reads slower than events are published, so that records are sent in part.
func TestTLS_SlowReader_ReceivesEachEventInOrder(t *testing.T) {
	const events, size = 150, 30_000
	eachTLS(t, func(o *server.Options) { o.Publish.MaxBytes = 2 * size }, func(t *testing.T, r *harness, conf *tls.Config, publish func(data string)) {
		raw := r.dial(false)
		if err := raw.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
		f := r.followTLS(raw, conf)
		data := func(n int) string { return fmt.Sprintf("%d %s", n, strings.Repeat("~", size)) }
		for n := range events { // more than the buffers of the kernel and of the connection
			publish(data(n))
		}
		for n := range events {
			f.want(t, data(n))
		}
		publish("live")
		f.want(t, "live")
	})
}

// stalling is a socket that sends nothing after some writes of a handshake.
type stalling struct {
	net.Conn
	writes int
}

func (s *stalling) Write(b []byte) (int, error) {
	if s.writes--; s.writes < 0 {
		return len(b), nil
	}
	return s.Conn.Write(b)
}

// Handshakes that stop at any message end within the timeout of heads, while others are served.
func TestTLS_StalledHandshakes_AreDisconnected(t *testing.T) {
	const each = 15
	eachTLS(t, func(o *server.Options) { o.HTTP.HeadTimeout = time.Second }, func(t *testing.T, r *harness, conf *tls.Config, publish func(data string)) {
		f := r.followTLS(r.dial(false), conf)
		publish("before") // opens the socket of the publisher
		f.want(t, "before")
		var clients sync.WaitGroup
		for writes := range 4 { // of TLS 1.3: ClientHello, ChangeCipherSpec, Finished
			for range each {
				raw := r.dial(false)
				clients.Go(func() {
					_ = tls.Client(&stalling{raw, writes}, conf).Handshake()
					if _, err := io.Copy(io.Discard, raw); errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("after %d writes the connection is still open", writes)
					}
				})
			}
		}
		for range each {
			raw := r.dial(false)
			clients.Go(func() {
				_, _ = raw.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252}) // the beginning of a ClientHello
				if _, err := io.Copy(io.Discard, raw); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("in a ClientHello the connection is still open")
				}
			})
		}
		publish("while they stall")
		f.want(t, "while they stall")
		clients.Wait()
		publish("afterwards")
		f.want(t, "afterwards")
	})
}
