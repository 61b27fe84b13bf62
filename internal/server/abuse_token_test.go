package server_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Keys of the issuer, and of an attacker who pretends to be the issuer.
var (
	issuerKey = sync.OnceValue(newRSA)
	evilKey   = sync.OnceValue(newRSA)
)

func newRSA() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

const (
	issuerName = "https://issuer.example"
	audience   = "tidemark"
)

type claims map[string]any

func publicPEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(issuerKey().Public())
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func writeFile(t *testing.T, text []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

var b64 = base64.RawURLEncoding.EncodeToString

// token is signed by the issuer, for mallory, with changes; nil removes a claim.
func token(changes claims) string {
	return signed(`{"alg":"RS256","typ":"JWT"}`, payload(changes), issuerKey())
}

func payload(changes claims) []byte {
	all := claims{"sub": "mallory", "iss": issuerName, "aud": audience, "exp": time.Now().Add(time.Hour).Unix(), "jti": rand.Text()}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return text
}

// signed makes a token by hand, so that its header may be anything.
func signed(header string, payload []byte, key *rsa.PrivateKey) string {
	input := b64([]byte(header)) + "." + b64(payload)
	hash := sha256.Sum256([]byte(input))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, hash[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(sig)
}

// confused is signed with the issuer's public key as an HMAC secret.
func confused(header string, secret []byte) string {
	input := b64([]byte(header)) + "." + b64(payload(claims{"sub": "alice"}))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}
