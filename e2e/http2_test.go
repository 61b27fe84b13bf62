package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"iter"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// testEight opens eight EventSources of a page with the files of a certificate.
func (e engines) testEight(t *testing.T) {
	cert, key := selfSigned(t)
	e.wantEight(t, "--http.tls.cert="+cert, "--http.tls.key="+key)
}

// testSelfSigned opens them with the certificate that the node makes. It is tried in one engine, because engines differ
// in their protocol and not in their certificates, whose errors all of them ignore here.
func (e engines) testSelfSigned(t *testing.T) {
	engines{e.only(t, chromiumEngine)}.wantEight(t, "--http.tls.self_signed")
}

// wantEight opens more EventSources than the six connections that a browser opens to a host over HTTP/1.1. Over
// HTTP/2 they share one.
func (e engines) wantEight(t *testing.T, flags ...string) {
	t.Helper()
	const sources, total = 8, 70
	origin := recorder(t)
	s := serve(t, append(flags, "--http.cors.origins="+origin)...)
	pages := e.open(t, origin)
	for _, page := range pages {
		var heard iter.Seq2[network.EventResponseReceived, error]
		if page.ctx != nil {
			heard = chromedp.Events(page.ctx, network.ResponseReceived)
		}
		for range sources {
			page.follow(s.url("/events?user=42")) // waits for its tidemark.open; the earlier ones stay open
		}
		if page.ctx != nil {
			wantProtocol(t, heard, "h2", sources)
		}
	}
	newProducer(t, s).publish(1, total)
	for _, page := range pages {
		for i := range sources {
			page.wantExactly(i, numbersOf(me, total))
		}
		if live := eval[int](page, "heard.filter(h => h.source.readyState === EventSource.OPEN && h.errors === 0).length"); live != sources {
			t.Errorf("%s: %d of %d are live", page.engine, live, sources)
		}
	}
}

// wantProtocol compares the protocol of the responses that are event streams.
func wantProtocol(t *testing.T, responses iter.Seq2[network.EventResponseReceived, error], want string, streams int) {
	t.Helper()
	for ev, err := range responses {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Response.MimeType != "text/event-stream" {
			continue
		}
		if ev.Response.Protocol != want {
			t.Errorf("a stream came over %s, want %s", ev.Response.Protocol, want)
		}
		if streams--; streams == 0 {
			return
		}
	}
}

// selfSigned writes a certificate for 127.0.0.1 and its key.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	return selfSignedFor(t, net.IPv4(127, 0, 0, 1))
}

// selfSignedFor writes a certificate for an address and its key.
func selfSignedFor(t *testing.T, addr net.IP) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{addr},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	certDER, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "CERTIFICATE", certDER), writePEM(t, "PRIVATE KEY", keyDER)
}

func writePEM(t *testing.T, kind string, der []byte) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
