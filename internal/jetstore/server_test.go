package jetstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/natstest"
)

// In a domain, the API has another prefix and deliveries a longer reply subject.
func TestDomain(t *testing.T) {
	srv := natstest.StartServer(t, func(o *server.Options) { o.JetStream, o.JetStreamDomain = true, "hub" })
	s := &harness{&natstest.Harness{T: t, Conn: natstest.Connect(t, jetstore.ConnectOptions{URL: srv.ClientURL()})}}
	var err error
	if s.JS, err = jetstream.NewWithDomain(s.Conn, "hub"); err != nil {
		t.Fatal(err)
	}
	s.CreateStream(jetstream.StreamConfig{})
	p, err := jetstore.NewPublisher(s.Conn, jetstore.PublisherOptions{Domain: "hub"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l := s.open(jetstore.Options{Domain: "hub"})
	if r := p.Publish(t.Context(), make100()...)[99]; r.Err != nil || r.Ack.Position.Epoch != s.epoch(l) {
		t.Errorf("published: %+v", r)
	}
	if got, _ := s.read(l, feed.ReadOptions{From: 1, To: 100}); len(got) != 100 {
		t.Errorf("read %d events", len(got))
	}
}

func TestConnectIdentities(t *testing.T) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := pair.PublicKey()
	seed, _ := pair.Seed()
	seedFile := filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(seedFile, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		server func(*server.Options)
		client jetstore.ConnectOptions
	}{
		"user":  {func(o *server.Options) { o.Username, o.Password = "u", "p" }, jetstore.ConnectOptions{User: "u", Password: "p"}},
		"token": {func(o *server.Options) { o.Authorization = "t" }, jetstore.ConnectOptions{Token: "t"}},
		"nkey":  {func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} }, jetstore.ConnectOptions{NkeyFile: seedFile}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := natstest.StartServer(t, c.server)
			c.client.URL = srv.ClientURL()
			if err := natstest.Connect(t, c.client).Flush(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConnectTLS(t *testing.T) {
	certFile, keyFile := selfSigned(t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	srv := natstest.StartServer(t, func(o *server.Options) {
		o.TLS, o.TLSVerify = true, true
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots}
	})
	nc := natstest.Connect(t, jetstore.ConnectOptions{
		URL: strings.Replace(srv.ClientURL(), "nats:", "tls:", 1), CAFile: certFile, CertFile: certFile, KeyFile: keyFile,
	})
	if err := nc.Flush(); err != nil {
		t.Error(err)
	}
}

func TestConnect_ServerWithHandshakeFirst_NeedsTLSFirst(t *testing.T) {
	certFile, keyFile := selfSigned(t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	srv := natstest.StartServer(t, func(o *server.Options) {
		o.TLS, o.TLSHandshakeFirst = true, true
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	})
	opts := jetstore.ConnectOptions{URL: strings.Replace(srv.ClientURL(), "nats:", "tls:", 1), CAFile: certFile, Once: true}
	if nc, err := jetstore.Connect(t.Context(), opts); err == nil {
		nc.Close()
		t.Error("connected without TLSFirst: the server does not wait for the handshake")
	}
	opts.TLSFirst, opts.Once = true, false
	if err := natstest.Connect(t, opts).Flush(); err != nil {
		t.Error(err)
	}
}

// selfSigned makes a certificate for 127.0.0.1 that signs itself, for server and client.
func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "CERTIFICATE", cert), writePEM(t, "PRIVATE KEY", private)
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The permissions that the package documentation lists are all that a reader needs.
func TestPermissionsAreEnough(t *testing.T) {
	api := func(op string) string { return "$JS.API." + op + "." + natstest.StreamName }
	allowed := []string{
		api("STREAM.INFO"), api("STREAM.MSG.GET"), api("CONSUMER.CREATE") + ".>",
		api("CONSUMER.MSG.NEXT") + ".>", api("CONSUMER.DELETE") + ".>",
	}
	srv := natstest.StartServer(t, func(o *server.Options) {
		o.JetStream = true
		o.Users = []*server.User{{Username: "admin", Password: "x"}, {Username: "reader", Password: "x", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: allowed},
			Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		}}}
	})
	s := &harness{&natstest.Harness{T: t, Conn: natstest.Connect(t, jetstore.ConnectOptions{URL: srv.ClientURL(), User: "admin", Password: "x"})}}
	var err error
	if s.JS, err = jetstream.New(s.Conn); err != nil {
		t.Fatal(err)
	}
	s.CreateStream(jetstream.StreamConfig{})
	s.PublishMany(100, "notifications.n")
	l := s.openOn(natstest.Connect(t, jetstore.ConnectOptions{URL: srv.ClientURL(), User: "reader", Password: "x"}), jetstore.Options{})
	if got, _ := s.read(l, feed.ReadOptions{From: 1, To: 100, Filters: []string{"notifications.n"}}); len(got) != 100 {
		t.Errorf("read %d events", len(got))
	}
	if _, err := l.SeqAt(s.Ctx(), time.Now()); err != nil {
		t.Error(err)
	}
	c := counter{t: t}
	c.follow(s.Ctx(), l, feed.FollowOptions{From: 1, Epoch: s.epoch(l)}, 99, func(int) {})
	s.Await("consumers are deleted", func() bool { return len(s.Consumers("tidemark-")) == 0 })
}
