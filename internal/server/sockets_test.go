package server_test

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

// sockets dials from other addresses of this machine.
type sockets struct {
	*testing.T
	addr string
}

// get sends a request from an address and returns the socket with the status. The status is 0 if the server closed
// the socket without a response.
func (s sockets) get(from, path string) (net.Conn, int) {
	s.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", s.addr)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Close() })
	return c, s.again(c, path)
}

func (s sockets) again(c net.Conn, path string) int {
	s.Helper()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0
	}
	if path != "/events" {
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	return resp.StatusCode
}

// One address keeps many sockets idle, and then opens as many connections as it may. It excludes neither other
// addresses nor, if a proxy is trusted, the clients behind it.
func TestSockets_OneAddressTakesAllItMay_OthersAreServed(t *testing.T) {
	eachEngine(t, testSocketsOneAddressTakesAllItMayOthersAreServed)
}

func testSocketsOneAddressTakesAllItMayOthersAreServed(t *testing.T) {
	var log testkit.Log
	r := newHarness(t, func(o *server.Options) {
		withAdmin(o)
		o.Sockets = server.SocketLimits{All: 12}
		o.Limits.PerAddress = 12
		o.HTTP.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	s := sockets{t, r.srv.Addr().String()}
	http.DefaultClient.CloseIdleConnections() // sockets of the harness
	r.eventuallyScrape(map[string]float64{`sockets{state="idle"}`: 0, `sockets{state="busy"}`: 0})
	first, _ := s.get("127.0.0.2", "/healthz")
	for range 20 {
		if _, status := s.get("127.0.0.2", "/healthz"); status != http.StatusOK {
			t.Fatalf("an idle socket of the same address was not closed for a new one: %d", status)
		}
	}
	if status := s.again(first, "/healthz"); status != 0 {
		t.Errorf("the longest idle socket is open: %d", status)
	}
	r.eventuallyScrape(map[string]float64{`sockets{state="idle"}`: 6}) // the last one becomes idle shortly after its response
	refused := 0
	for range 8 {
		if _, status := s.get("127.0.0.2", "/events"); status == 0 {
			refused++
		}
	}
	if refused != 2 { // half of 12 belong to the address
		t.Errorf("%d connections were refused, want 2", refused)
	}
	if _, status := s.get("127.0.0.3", "/events"); status != http.StatusOK {
		t.Errorf("another address: %d", status)
	}
	r.eventuallyScrape(map[string]float64{
		`sockets{state="busy"}`: 7, `sockets{state="idle"}`: 0, `sockets_limit`: 12,
		`sockets_rejected_total{limit="sockets"}`: 0, `sockets_rejected_total{limit="sockets_per_address"}`: 2, `idle_sockets_closed_total`: 21,
	})
	if text := log.String(); !strings.Contains(text, "sockets: limit reached") || !strings.Contains(text, "limits.sockets_per_address") || !strings.Contains(text, "127.0.0.2") {
		t.Errorf("the log: %s", text)
	}
}

func TestSockets_AddressOfATrustedProxy_MayTakeAll(t *testing.T) {
	r := newHarness(t, func(o *server.Options) {
		withAdmin(o)
		o.Sockets = server.SocketLimits{All: 12}
		o.HTTP.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}
	})
	s := sockets{t, r.srv.Addr().String()}
	http.DefaultClient.CloseIdleConnections()
	r.eventuallyScrape(map[string]float64{`sockets{state="idle"}`: 0, `sockets{state="busy"}`: 0})
	for i := range 12 {
		if _, status := s.get("127.0.0.9", "/events"); status != http.StatusOK {
			t.Fatalf("stream %d: %d", i, status)
		}
	}
	if _, status := s.get("127.0.0.3", "/events"); status != 0 {
		t.Errorf("beyond limits.sockets: %d", status)
	}
}

// By default an address may have half of the connections of a node.
func TestStreams_OneAddressTakesAllItMay_OthersAreServed(t *testing.T) {
	eachEngine(t, testStreamsOneAddressTakesAllItMayOthersAreServed)
}

func testStreamsOneAddressTakesAllItMayOthersAreServed(t *testing.T) {
	r := newHarness(t, func(o *server.Options) {
		withAdmin(o)
		o.Limits.Connections = 6
	})
	s := sockets{t, r.srv.Addr().String()}
	for range 10 {
		s.get("127.0.0.2", "/events")
	}
	s.get("127.0.0.3", "/events")
	r.eventuallyScrape(map[string]float64{
		`connects_total{feed="notifications"}`: 4, `rejections_total{reason="connections_per_address"}`: 7, `rejections_total{reason="connections"}`: 0,
	})
}
