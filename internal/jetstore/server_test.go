package jetstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/testkit"
)

// bareServer runs a nats-server with options that the embedded one does not offer.
func bareServer(t *testing.T, change func(*server.Options)) *server.Server {
	t.Helper()
	opts := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, StoreDir: t.TempDir()}
	change(opts)
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() {
		srv.Shutdown()
		srv.WaitForShutdown()
	})
	if !srv.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return srv
}

func connectTo(t testing.TB, opts jetstore.ConnectOptions) *nats.Conn {
	t.Helper()
	opts.Wait = true
	nc, err := jetstore.Connect(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeConn(nc) })
	return nc
}

// In a domain, the API has another prefix and deliveries a longer reply subject.
func TestDomain(t *testing.T) {
	srv := bareServer(t, func(o *server.Options) { o.JetStream, o.JetStreamDomain = true, "hub" })
	s := &stand{t: t, nc: connectTo(t, jetstore.ConnectOptions{URL: srv.ClientURL()})}
	var err error
	if s.js, err = jetstream.NewWithDomain(s.nc, "hub"); err != nil {
		t.Fatal(err)
	}
	s.createStream(jetstream.StreamConfig{})
	p, err := jetstore.NewPublisher(s.nc, jetstore.PublisherOptions{Domain: "hub"})
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
			srv := bareServer(t, c.server)
			c.client.URL = srv.ClientURL()
			if err := connectTo(t, c.client).Flush(); err != nil {
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
	srv := bareServer(t, func(o *server.Options) {
		o.TLS, o.TLSVerify = true, true
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots}
	})
	nc := connectTo(t, jetstore.ConnectOptions{
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
	srv := bareServer(t, func(o *server.Options) {
		o.TLS, o.TLSHandshakeFirst = true, true
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	})
	opts := jetstore.ConnectOptions{URL: strings.Replace(srv.ClientURL(), "nats:", "tls:", 1), CAFile: certFile, Once: true}
	if nc, err := jetstore.Connect(t.Context(), opts); err == nil {
		nc.Close()
		t.Error("connected without TLSFirst: the server does not wait for the handshake")
	}
	opts.TLSFirst, opts.Once = true, false
	if err := connectTo(t, opts).Flush(); err != nil {
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
	api := func(op string) string { return "$JS.API." + op + "." + streamName }
	allowed := []string{
		api("STREAM.INFO"), api("STREAM.MSG.GET"), api("CONSUMER.CREATE") + ".>",
		api("CONSUMER.MSG.NEXT") + ".>", api("CONSUMER.DELETE") + ".>",
	}
	srv := bareServer(t, func(o *server.Options) {
		o.JetStream = true
		o.Users = []*server.User{{Username: "admin", Password: "x"}, {Username: "reader", Password: "x", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: allowed},
			Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		}}}
	})
	s := &stand{t: t, nc: connectTo(t, jetstore.ConnectOptions{URL: srv.ClientURL(), User: "admin", Password: "x"})}
	var err error
	if s.js, err = jetstream.New(s.nc); err != nil {
		t.Fatal(err)
	}
	s.createStream(jetstream.StreamConfig{})
	s.publishMany(100, "notifications.n")
	l := s.openOn(connectTo(t, jetstore.ConnectOptions{URL: srv.ClientURL(), User: "reader", Password: "x"}), jetstore.Options{})
	if got, _ := s.read(l, feed.ReadOptions{From: 1, To: 100, Filters: []string{"notifications.n"}}); len(got) != 100 {
		t.Errorf("read %d events", len(got))
	}
	if _, err := l.SeqAt(s.ctx(), time.Now()); err != nil {
		t.Error(err)
	}
	c := counter{t: t}
	c.follow(s.ctx(), l, feed.FollowOptions{From: 1, Epoch: s.epoch(l)}, 99, func(int) {})
	s.await("consumers are deleted", func() bool { return len(s.consumers("tidemark-")) == 0 })
}

// cluster runs three servers with routes between them.
func cluster(t *testing.T) (servers []*server.Server, urls string) {
	t.Helper()
	ports := freePorts(t, 3)
	var routes []string
	for _, port := range ports {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	var clients []string
	for n, port := range ports {
		srv := bareServer(t, func(o *server.Options) {
			o.JetStream, o.ServerName = true, fmt.Sprint("node-", n)
			o.Cluster = server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port}
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		})
		servers, clients = append(servers, srv), append(clients, srv.ClientURL())
	}
	return servers, strings.Join(clients, ",")
}

func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports, err := testkit.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}
