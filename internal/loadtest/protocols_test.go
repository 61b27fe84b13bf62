package loadtest

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// protocol is how a run connects to the fake server.
type protocol struct {
	tls, http2 bool
	streams    int // that share an HTTP/2 connection
	portable   bool
}

func (p protocol) server(t *testing.T, f faults) *fakeServer {
	t.Helper()
	if p.tls {
		return newFakeServerOver(t, f, &tls.Config{MinVersion: tls.VersionTLS12})
	}
	return newFakeServer(t, f)
}

// options returns the options of a run whose last event is delivered: it may wait long for it, on a loaded machine.
func (p protocol) options(d *fakeServer, conns int) Options {
	opts := d.options(conns)
	opts.Settle = 30 * time.Second
	opts.HTTP2, opts.StreamsPerConnection, opts.portable = p.http2, p.streams, p.portable
	return opts
}

var protocols = map[string]protocol{
	"plain":                         {},
	"h2c":                           {http2: true},
	"h2c, shared":                   {http2: true, streams: 10},
	"TLS":                           {tls: true},
	"TLS, HTTP/2":                   {tls: true, http2: true},
	"TLS, HTTP/2, shared":           {tls: true, http2: true, streams: 10},
	"no epoll":                      {portable: true},
	"no epoll: h2c":                 {http2: true, portable: true},
	"no epoll: TLS":                 {tls: true, portable: true},
	"no epoll: TLS, HTTP/2":         {tls: true, http2: true, portable: true},
	"no epoll: TLS, HTTP/2, shared": {tls: true, http2: true, streams: 10, portable: true},
}

// sockets returns how many sockets a number of clients has.
func (p protocol) sockets(conns int) int { return divideUp(conns, max(p.streams, 1)) }

func TestLoad_AnyProtocol_SameVerdict(t *testing.T) {
	for name, p := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The last event is not dropped: the run does not wait for it.
			d := p.server(t, faults{drop: 101, repeat: 90, swap: 70})
			opts := p.options(d, 20)
			opts.Rate, opts.For = 800, 500*time.Millisecond
			r, err := Load(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			r.Verdict.First = nil
			want := Verdict{Expected: 20 * 400, Delivered: 20 * 397, Lost: 20 * 3, Repeated: 20 * 4, Reordered: 20 * 5}
			if !reflect.DeepEqual(r.Verdict, want) {
				t.Errorf("%+v, want %+v", r.Verdict, want)
			}
			if n := d.socketCount(); n != p.sockets(20) || r.WireBytes < int64(r.Verdict.Delivered)*120 {
				t.Errorf("%d sockets, want %d; %d bytes", n, p.sockets(20), r.WireBytes)
			}
			handshakes := 0
			if p.tls {
				handshakes = p.sockets(20)
			}
			// Without epoll, net/http may open more connections than it uses.
			if got := r.Connect.FullHandshakes + r.Connect.ResumedHandshakes; got != handshakes && (!p.portable || got < handshakes) {
				t.Errorf("%d handshakes, want %d", got, handshakes)
			}
		})
	}
}

// The clients of a worker share sockets with each other only.
func TestWorkers_SharedHTTP2_CountAll(t *testing.T) {
	p := protocol{tls: true, http2: true, streams: 4}
	d := p.server(t, faults{})
	opts := p.options(d, 24)
	workers := d.workerOptions(24, 2)
	opts.Workers, opts.WorkerCommand = workers.Workers, workers.WorkerCommand
	r, err := Load(t.Context(), opts)
	if err != nil || !r.Verdict.OK() || r.Verdict.Delivered != 24*400 || d.socketCount() != 6 || r.Connect.FullHandshakes != 6 {
		t.Errorf("%+v, %+v, %d sockets, %v", r.Verdict, r.Connect, d.socketCount(), err)
	}
}

// A large burst comes as full records and full windows of HTTP/2.
func TestLoad_LargeBurst_ArrivesWhole(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute; TestLoad_AnyProtocol_SameVerdict uses the protocols")
	}
	for name, p := range protocols {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := p.server(t, faults{})
			opts := d.withArrays(p.options(d, 10))
			opts.Burst, opts.Payload, opts.Rate = 400, 2500, 800
			r, err := Load(t.Context(), opts)
			if err != nil || !r.Verdict.OK() || r.Verdict.Delivered != 10*800 || r.WireBytes < 10*800*2500 {
				t.Errorf("%+v, %d bytes, %v", r.Verdict, r.WireBytes, err)
			}
		})
	}
}

func TestStorm_TLS_ResumesSessions(t *testing.T) {
	for name, c := range map[string]struct {
		over    protocol
		version uint16
		full    bool // requested
	}{
		"HTTP/1.1":           {over: protocol{}},
		"HTTP/1.1, TLS 1.2":  {over: protocol{}, version: tls.VersionTLS12},
		"HTTP/1.1, full":     {over: protocol{}, full: true},
		"HTTP/2":             {over: protocol{http2: true}},
		"HTTP/2, shared":     {over: protocol{http2: true, streams: 10}},
		"HTTP/2, full":       {over: protocol{http2: true}, full: true},
		"no epoll: HTTP/1.1": {over: protocol{portable: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newFakeServerOver(t, faults{}, &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: c.version})
			opts := c.over.options(d, 50)
			opts.For, opts.FullHandshakes = 100*time.Millisecond, c.full
			r, err := Storm(t.Context(), StormOptions{Options: opts, Missed: 10})
			if err != nil {
				t.Fatal(err)
			}
			if !r.Verdict.OK() || r.Verdict.Delivered != 50*50 || r.CaughtUp <= 0 || r.Connect.Reconnects != 50 {
				t.Errorf("%+v, caught up after %v, %d reconnects", r.Verdict, r.CaughtUp, r.Connect.Reconnects)
			}
			wantFull, wantResumed := c.over.sockets(50), c.over.sockets(50)
			if c.full {
				wantFull, wantResumed = 2*wantFull, 0
			}
			if r.Connect.FullHandshakes != wantFull || r.Connect.ResumedHandshakes != wantResumed {
				t.Errorf("%d full handshakes and %d resumed, want %d and %d", r.Connect.FullHandshakes, r.Connect.ResumedHandshakes, wantFull, wantResumed)
			}
		})
	}
}

func TestLoad_TLSCurves_AreOffered(t *testing.T) {
	for name, want := range map[string]tls.CurveID{"": tls.X25519MLKEM768, "x25519": tls.X25519, "X25519MLKEM768": tls.X25519MLKEM768} {
		d := newFakeServerOver(t, faults{}, &tls.Config{MinVersion: tls.VersionTLS12})
		opts := d.options(5)
		if opts.For = 10 * time.Millisecond; name != "" {
			opts.TLSCurves = []string{name}
		}
		if _, err := Load(t.Context(), opts); err != nil || len(d.curves) != 1 || d.curves[want] != 5 {
			t.Errorf("--tls-curves %q: %v, %v", name, d.curves, err)
		}
	}
}

func TestLoad_InvalidConnectionOptions_AreRejected(t *testing.T) {
	d := newFakeServerOver(t, faults{}, &tls.Config{MinVersion: tls.VersionTLS12})
	few := newFakeServerOver(t, faults{}, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	for want, change := range map[string]func(*Options){
		"--streams-per-connection -1":           func(o *Options) { o.HTTP2, o.StreamsPerConnection = true, -1 },
		"--streams-per-connection 2 needs":      func(o *Options) { o.StreamsPerConnection = 2 },
		`--tls-curves "sect571r1"`:              func(o *Options) { o.TLSCurves = []string{"sect571r1"} },
		"certificate":                           func(o *Options) { o.Insecure = false },
		"first record does not look like a TLS": func(o *Options) { o.URL = strings.Replace(newFakeServer(t, faults{}).URL, "http:", "https:", 1) },
		"no application protocol":               func(o *Options) { o.URL, o.HTTP2 = few.URL+"/sub/all", true },
	} {
		opts := d.options(5)
		change(&opts)
		if _, err := Load(t.Context(), opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestLoad_TooManyStreams_NamesTheOption(t *testing.T) {
	d := newFakeServer(t, faults{})
	limited := &http.Server{Handler: d.Config.Handler, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 5}, Protocols: d.Config.Protocols, ReadHeaderTimeout: time.Minute}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- limited.Serve(ln) }()
	defer func() { _ = limited.Close(); <-served }()
	opts := d.options(20)
	opts.URL, opts.HTTP2, opts.StreamsPerConnection = "http://"+ln.Addr().String()+"/sub/all", true, 10
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	if _, err := Load(ctx, opts); err == nil || !strings.Contains(err.Error(), "allows 5 HTTP/2 streams on a connection: lower --streams-per-connection") {
		t.Error(err)
	}
}

// A server that accepts and sends nothing: the goroutines of the handshakes end with the run.
func TestLoad_HandshakeStalls_RunEnds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	opts := newFakeServer(t, faults{}).options(20)
	opts.URL, opts.Insecure = "https://"+ln.Addr().String()+"/", true
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			defer func() { _ = conn.Close() }()
			_, _ = conn.Read(make([]byte, 5)) // of the ClientHello
		}
		stop()
	}()
	if _, err := Load(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended with %v", err)
	}
}
