package natsconn_test

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
	"github.com/nats-io/nkeys"

	"github.com/tidemark/tidemark/internal/natsconn"
	"github.com/tidemark/tidemark/internal/natstest"
)

func TestConnect_Identities_LogIn(t *testing.T) {
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
		client natsconn.Options
	}{
		"user":  {func(o *server.Options) { o.Username, o.Password = "u", "p" }, natsconn.Options{User: "u", Password: "p"}},
		"token": {func(o *server.Options) { o.Authorization = "t" }, natsconn.Options{Token: "t"}},
		"nkey":  {func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} }, natsconn.Options{NkeyFile: seedFile}},
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

func TestConnect_TLS_VerifiesBoth(t *testing.T) {
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
	nc := natstest.Connect(t, natsconn.Options{
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
	opts := natsconn.Options{URL: strings.Replace(srv.ClientURL(), "nats:", "tls:", 1), CAFile: certFile, Once: true}
	if nc, err := natsconn.Connect(t.Context(), opts); err == nil {
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
