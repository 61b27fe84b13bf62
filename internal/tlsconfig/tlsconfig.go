package tlsconfig

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
)

// Options are the files of a listener. Either both CertFile and KeyFile are set, or SelfSigned is.
type Options struct {
	CertFile, KeyFile string // PEM
	// SelfSigned makes a certificate in memory for localhost, 127.0.0.1 and ::1, which is valid for 14 days. Reload
	// does not replace it.
	SelfSigned bool
	// TicketKeysFile is a file for [ReadTicketKeys]. All nodes with the same keys accept each other's session
	// tickets. When empty, crypto/tls makes its own keys and rotates them daily, so that clients resume a TLS
	// session at the same node only.
	TicketKeysFile string
}

// Enabled reports whether the listener has a certificate.
func (o Options) Enabled() bool { return o.CertFile != "" || o.KeyFile != "" || o.SelfSigned }

// FileKeys returns the configuration keys of the files for [TLS.Reload].
func (o Options) FileKeys() (keys []string) {
	if o.CertFile != "" || o.KeyFile != "" {
		keys = append(keys, "http.tls.cert", "http.tls.key")
	}
	if o.TicketKeysFile != "" {
		keys = append(keys, "http.tls.ticket_keys")
	}
	return keys
}

// TLS is the TLS configuration of a listener, with its files. Its methods are safe for concurrent use.
type TLS struct {
	certificate *certificate
	tickets     *tickets // nil without a file
	config      *tls.Config
}

// Open reads the files, or makes the self-signed certificate.
func Open(opts Options) (*TLS, error) {
	cert, err := openCertificate(opts)
	if err != nil {
		return nil, err
	}
	t := &TLS{certificate: cert, config: newConfig(cert)}
	if opts.TicketKeysFile == "" {
		return t, nil
	}
	t.tickets = &tickets{file: opts.TicketKeysFile, config: newConfig(cert)}
	if err := t.tickets.load(); err != nil {
		return nil, err
	}
	t.config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.tickets.config, nil }
	return t, nil
}

// Config returns the configuration for [tls.Server] or [net/http.Server]. It is the same one in each call; do not
// change it. Reload applies to it and to its clones.
func (t *TLS) Config() *tls.Config { return t.config }

// Reload reads the files again. Each is used if it is valid. The error names all others, whose previous content stays in
// use.
func (t *TLS) Reload() error {
	err := t.certificate.load()
	if t.tickets != nil {
		err = errors.Join(err, t.tickets.load())
	}
	return err
}

// Fingerprint returns the SHA-256 of the present certificate, in hexadecimal digits.
func (t *TLS) Fingerprint() string {
	sum := sha256.Sum256(t.certificate.current.Load().Certificate[0])
	return hex.EncodeToString(sum[:])
}

func newConfig(cert *certificate) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, CipherSuites: suitesTLS12, NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: cert.get,
		// Small records help a page to be drawn earlier. Events that wait go out as few full records instead.
		DynamicRecordSizingDisabled: true,
	}
}

// suitesTLS12 are the TLS 1.2 suites with forward secrecy and authenticated encryption. Go's default also has
// ECDHE with CBC, which scanners report as weak. The suites of TLS 1.3 cannot be configured.
var suitesTLS12 = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}
