package auth

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

const (
	minSecretLen = 32 // bytes; RFC 7518 requires at least the length of the hash
	minRSABits   = 2048
	maxRSABits   = 8192
	maxKeys      = 64
)

// key verifies tokens.
type key struct {
	id     string // empty matches every token
	public any    // []byte for a secret
	// algs contains the algorithms of the key. They depend on the kind of the key, never on the token: a
	// public RSA key must not be used as a secret for HS256.
	algs []jose.SignatureAlgorithm
}

func (k key) isFor(alg jose.SignatureAlgorithm) bool { return slices.Contains(k.algs, alg) }

var (
	rsaAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}
	allAlgorithms = slices.Concat([]jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512}, rsaAlgorithms,
		[]jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.EdDSA})
)

func algorithms(names []string) ([]jose.SignatureAlgorithm, error) {
	if len(names) == 0 {
		return allAlgorithms, nil
	}
	algs := make([]jose.SignatureAlgorithm, len(names))
	for i, name := range names {
		algs[i] = jose.SignatureAlgorithm(name)
		if !slices.Contains(allAlgorithms, algs[i]) {
			return nil, fmt.Errorf("unknown algorithm %q; use some of %s", name, strings.Trim(fmt.Sprint(allAlgorithms), "[]"))
		}
	}
	return algs, nil
}

// newKey returns a key with its algorithms. It rejects weak keys and values other than public keys.
func newKey(id string, public any) (key, error) {
	var algs []jose.SignatureAlgorithm
	switch p := public.(type) {
	case *rsa.PublicKey:
		if bits := p.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return key{}, fmt.Errorf("an RSA key of %d bits; use %d to %d bits", bits, minRSABits, maxRSABits)
		}
		algs = rsaAlgorithms
	case *ecdsa.PublicKey:
		alg, ok := map[elliptic.Curve]jose.SignatureAlgorithm{elliptic.P256(): jose.ES256, elliptic.P384(): jose.ES384, elliptic.P521(): jose.ES512}[p.Curve]
		if !ok {
			return key{}, errors.New("an ECDSA key on another curve; use P-256, P-384 or P-521")
		}
		algs = []jose.SignatureAlgorithm{alg}
	case ed25519.PublicKey:
		algs = []jose.SignatureAlgorithm{jose.EdDSA}
	case []byte:
		if len(p) < minSecretLen {
			return key{}, fmt.Errorf("a secret of %d bytes; use at least %d", len(p), minSecretLen)
		}
		algs = secretAlgorithms(len(p))
	default:
		return key{}, errors.New("not a public key of RSA, ECDSA or Ed25519; keep private keys at the issuer")
	}
	return key{id: id, public: public, algs: algs}, nil
}

func secretAlgorithms(length int) []jose.SignatureAlgorithm {
	algs := []jose.SignatureAlgorithm{jose.HS256}
	if length >= 48 {
		algs = append(algs, jose.HS384)
	}
	if length >= 64 {
		algs = append(algs, jose.HS512)
	}
	return algs
}

// parseSet parses a JWK Set. As RFC 7517 recommends, it ignores keys that it cannot use: an issuer may
// publish newer kinds of keys. At least one key must be usable.
func parseSet(text []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("not a JWK Set; provide a JSON object with a list of keys and without duplicate names") // the decoder's error contains parts of the text
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys; use at most %d", len(set.Keys), maxKeys)
	}
	var keys []key
	var unusable error // the first
	for i, raw := range set.Keys {
		k, err := parseJWK(raw)
		if err != nil {
			unusable = cmp.Or(unusable, fmt.Errorf("; key %d is %w", i+1, err))
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("the JWK Set has no usable key%w", cmp.Or(unusable, errors.New("; it is empty")))
	}
	return keys, nil
}

func parseJWK(raw []byte) (key, error) {
	var jwk jose.JSONWebKey
	var more struct {
		Ops []string `json:"key_ops"`
	}
	if json.Unmarshal(raw, &jwk) != nil || json.Unmarshal(raw, &more) != nil {
		return key{}, errors.New("of an unknown kind, or invalid")
	}
	if jwk.Use != "" && jwk.Use != "sig" || more.Ops != nil && !slices.Contains(more.Ops, "verify") {
		return key{}, errors.New("not for signatures (use, key_ops)")
	}
	k, err := newKey(jwk.KeyID, jwk.Key)
	if err != nil || jwk.Algorithm == "" {
		return k, err
	}
	alg := jose.SignatureAlgorithm(jwk.Algorithm)
	if !k.isFor(alg) {
		return key{}, errors.New("for an unknown algorithm (alg), or an algorithm of another kind of key")
	}
	k.algs = []jose.SignatureAlgorithm{alg}
	return k, nil
}

// keysFor returns the keys with an id, or else the keys without an id. For an empty id it returns all
// keys.
func keysFor(keys []key, id string) []key {
	with := func(wanted string) (chosen []key) {
		for _, k := range keys {
			if k.id == wanted {
				chosen = append(chosen, k)
			}
		}
		return chosen
	}
	if id == "" {
		return keys
	}
	if chosen := with(id); len(chosen) > 0 {
		return chosen
	}
	return with("")
}

func unknownKey() error {
	return invalidToken("the token is signed with an unknown key (kid)")
}
