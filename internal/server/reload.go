package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
)

// Reload reads renewable files again while a node runs. These are the certificate of HTTPOptions, the file of API
// keys, and the keys of tokens (from a URL it fetches them). They are independent: if a file cannot be read, its
// old content stays in use, and the error names its configuration key. Open connections continue; new connections
// and requests use the new files. It blocks while keys are fetched: twice auth.JWKSOptions.Timeout at most, or
// until ctx ends. It is safe for concurrent use.
func (s *Server) Reload(ctx context.Context) error {
	var failed []error
	if s.main.certificate != nil {
		failed = append(failed, s.main.certificate.load())
	}
	if s.callers.keys != nil {
		if err := s.callers.keys.Reload(); err != nil {
			failed = append(failed, fmt.Errorf("publish.keys: %w", err))
		}
	}
	if s.callers.tokens != nil {
		if err := s.callers.tokens.Refresh(ctx); err != nil {
			failed = append(failed, fmt.Errorf("auth.jwt: %w", err))
		}
	}
	if s.nats.embedded != nil {
		failed = append(failed, s.nats.embedded.Reload())
	}
	return errors.Join(failed...)
}

// HasCertificateOrKeys reports whether Reload reads a certificate, API keys or keys of tokens.
func (s *Server) HasCertificateOrKeys() bool {
	return s.main.certificate != nil || s.callers.keys != nil || s.callers.tokens != nil
}

// IsEmbedded reports whether the node runs an embedded NATS server.
func (s *Server) IsEmbedded() bool { return s.nats.embedded != nil }

// certificate is a certificate with its files. Each new connection receives the one loaded last.
type certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
}

// openCertificate returns nil without files.
func openCertificate(o HTTPOptions) (*certificate, error) {
	if o.CertFile == "" && o.KeyFile == "" {
		return nil, nil
	}
	c := &certificate{certFile: o.CertFile, keyFile: o.KeyFile}
	return c, c.load()
}

// load reads the pair, and checks that the key belongs to the certificate. Between the writing of two files it may
// not; then the previous pair stays.
func (c *certificate) load() error {
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
