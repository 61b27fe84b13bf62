package tlsconfig

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// certificate is a certificate with its files. Each new connection receives the one loaded last.
type certificate struct {
	certFile, keyFile string // empty for a self-signed one
	current           atomic.Pointer[tls.Certificate]
}

func openCertificate(opts Options) (*certificate, error) {
	if !opts.SelfSigned {
		c := &certificate{certFile: opts.CertFile, keyFile: opts.KeyFile}
		return c, c.load()
	}
	pair, err := selfSigned(time.Now())
	if err != nil {
		return nil, fmt.Errorf("http.tls.self_signed: %w", err)
	}
	c := &certificate{}
	c.current.Store(pair)
	return c, nil
}

// load reads the pair, and checks that the key belongs to the certificate. Between the writing of two files it may
// not; then the previous pair stays.
func (c *certificate) load() error {
	if c.certFile == "" && c.keyFile == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("http.tls.cert, http.tls.key: %w", err)
	}
	c.current.Store(&pair)
	return nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// The validity of a self-signed certificate. It begins before now, for clients whose clock is behind.
const (
	selfSignedValidity = 14 * 24 * time.Hour
	clockTolerance     = time.Hour
)

// selfSigned makes a certificate for trying TLS on this machine. It is not an authority, so that a user who adds it to
// a browser trusts nothing else. Its serial number is random, because Firefox does not accept two certificates with the
// same issuer and number.
func selfSigned(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "Tidemark, self-signed"},
		NotBefore: now.Add(-clockTolerance), NotAfter: now.Add(selfSignedValidity),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
