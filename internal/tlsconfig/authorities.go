package tlsconfig

import (
	"crypto/x509"
	"errors"
	"os"
)

// WithAuthorities returns the authorities of the system and those of a PEM file, for a client.
func WithAuthorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New(file + " has no certificate in PEM")
	}
	return pool, nil
}
