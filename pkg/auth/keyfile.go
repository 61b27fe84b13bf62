package auth

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"sync/atomic"
)

// keyFile provides the keys of a file.
type keyFile struct {
	name  string
	parse func([]byte) ([]key, error)
	keys  atomic.Pointer[[]key]
}

func openFile(name string, parse func([]byte) ([]key, error)) (*keyFile, error) {
	f := &keyFile{name: name, parse: parse}
	return f, f.refresh(context.Background())
}

func (f *keyFile) refresh(context.Context) error {
	text, err := readFile(f.name)
	if err != nil {
		return err
	}
	keys, err := f.parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	f.keys.Store(&keys)
	return nil
}

func (f *keyFile) find(_ context.Context, id string) ([]key, error) {
	if keys := keysFor(*f.keys.Load(), id); len(keys) > 0 {
		return keys, nil
	}
	return nil, unknownKey()
}

func (f *keyFile) close() {}

// parseSecret returns the bytes as a secret. It rejects public keys and JWK Sets: if a public key were
// used as a secret, everyone could sign tokens.
func parseSecret(text []byte) ([]key, error) {
	secret, ok := bytes.CutSuffix(text, []byte("\r\n"))
	if !ok {
		secret = bytes.TrimSuffix(text, []byte("\n"))
	}
	if looksPublic(secret) {
		return nil, errors.New("the file contains a key or a JWK Set instead of a secret; set it as the public key file or the JWKS file")
	}
	k, err := newKey("", secret)
	return []key{k}, err
}

func looksPublic(secret []byte) bool {
	text := bytes.TrimSpace(secret)
	for _, start := range []string{"-----BEGIN ", "ssh-", "ecdsa-sha2-", "{"} {
		if bytes.HasPrefix(text, []byte(start)) {
			return true
		}
	}
	decoded, _ := base64.StdEncoding.DecodeString(string(text)) // ignores line breaks
	return isDER(secret) || isDER(decoded)
}

func isDER(b []byte) bool {
	_, errKey := x509.ParsePKIXPublicKey(b)
	_, errRSA := x509.ParsePKCS1PublicKey(b)
	_, errCert := x509.ParseCertificate(b)
	return errKey == nil || errRSA == nil || errCert == nil
}

// parsePEM reads all blocks, because a file contains two keys during a key rotation.
func parsePEM(text []byte) ([]key, error) {
	var keys []key
	for n := 1; ; n++ {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		public, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", n, err)
		}
		k, err := newKey("", public)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", n, err)
		}
		if keys = append(keys, k); len(keys) > maxKeys {
			return nil, fmt.Errorf("more than %d keys", maxKeys)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no PEM block with a public key")
	}
	if len(bytes.TrimSpace(text)) > 0 {
		return nil, errors.New("there is other text after the last PEM block")
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (public any, err error) {
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			public = cert.PublicKey
		}
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("it is a private key; keep it at the issuer and use the public key (openssl pkey -pubout)")
	default:
		return nil, errors.New("it is neither a public key nor a certificate")
	}
	if err != nil {
		return nil, errors.New("the key cannot be parsed; it is invalid or of an unknown kind")
	}
	return public, nil
}
