package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"github.com/tidemark/tidemark/internal/tlsconfig"
)

// httpClient returns a client for --ca and --insecure, or nil without them.
func (f subscribeFlags) httpClient() (*http.Client, error) {
	if f.ca == "" && !f.insecure {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.insecure} //nolint:gosec // a flag, for trying TLS
	if f.ca != "" {
		roots, err := tlsconfig.WithAuthorities(f.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		conf.RootCAs = roots
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = conf
	return &http.Client{Transport: transport}, nil
}

// explainCertificate completes an error of a certificate with its remedy.
func explainCertificate(err error) error {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	switch {
	case authority:
		return fmt.Errorf("%w; name the authority's file with --ca, or accept any certificate with --insecure (such as that of http.tls.self_signed)", err)
	case host:
		return fmt.Errorf("%w; use a host name of the certificate in the URL", err)
	case certificate:
		return fmt.Errorf("%w; renew the server's certificate, and compare the clocks", err)
	}
	return err
}
