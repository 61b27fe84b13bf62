package auth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tidemark/tidemark/pkg/auth"
)

const secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// Keys are created once, because RSA keys take time.
var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	p256     = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384     = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521     = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	p224     = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)) })
	edKey    = sync.OnceValue(func() ed25519.PrivateKey {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return must(private, err)
	})
)

// weakRSA is a key of 1024 bits.
func weakRSA() *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).Rsh(rsaKey().N, 1024), E: 65537}
}

func newP256() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// public returns the public half of a private key, and other keys unchanged.
func public(key any) any {
	if private, ok := key.(crypto.Signer); ok {
		return private.Public()
	}
	return key
}

func publicPEM(key any) string {
	return pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(public(key))))
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// claims returns the claims of a token valid for an hour, with changes; nil removes a claim.
func claims(changes map[string]any) map[string]any {
	all := map[string]any{"sub": "42", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// sign returns a token for claims or a payload.
func sign(alg jose.SignatureAlgorithm, key any, id string, payload any) string {
	opts := (&jose.SignerOptions{}).WithType("JWT")
	if id != "" {
		opts = opts.WithHeader("kid", id)
	}
	return signWith(alg, key, opts, payload)
}

func signWith(alg jose.SignatureAlgorithm, key any, opts *jose.SignerOptions, payload any) string {
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts))
	raw, ok := payload.([]byte)
	if !ok {
		raw = must(json.Marshal(payload))
	}
	return must(must(signer.Sign(raw)).CompactSerialize())
}

func hs256(payload any) string { return sign(jose.HS256, []byte(secret), "", payload) }

// forge builds an invalid token by hand, because libraries refuse to.
func forge(header string, payload any, key []byte) string {
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64([]byte(header)) + "." + b64(must(json.Marshal(payload)))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

func openJWT(t testing.TB, opts auth.JWTOptions) *auth.JWTSource {
	t.Helper()
	if opts.SecretFile+opts.PublicKeyFile+opts.JWKSFile+opts.JWKSURL == "" {
		opts.SecretFile = file(t, secret)
	}
	source, err := auth.JWT(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	return source
}

// bearing returns a request with a token.
func bearing(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}
