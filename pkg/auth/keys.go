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
	minSecretLen = 32 // bytes; RFC 7518 wants as many as the hash has
	minRSABits   = 2048
	maxRSABits   = 8192
	maxKeys      = 64
)

// key is what tokens are verified with.
type key struct {
	id     string // empty fits every token
	public any    // []byte for a secret
	// algs are all that the key is for: the kind of the key decides, never the token. A public
	// RSA key is no secret for HS256, whatever a token says.
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
			return nil, fmt.Errorf("algorithm %q; there are %s", name, strings.Trim(fmt.Sprint(allAlgorithms), "[]"))
		}
	}
	return algs, nil
}

// newKey pins a key to its algorithms, and refuses what is no public key or too weak.
func newKey(id string, public any) (key, error) {
	var algs []jose.SignatureAlgorithm
	switch p := public.(type) {
	case *rsa.PublicKey:
		if bits := p.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return key{}, fmt.Errorf("an RSA key of %d bits; %d to %d are wanted", bits, minRSABits, maxRSABits)
		}
		algs = rsaAlgorithms
	case *ecdsa.PublicKey:
		alg, ok := map[elliptic.Curve]jose.SignatureAlgorithm{elliptic.P256(): jose.ES256, elliptic.P384(): jose.ES384, elliptic.P521(): jose.ES512}[p.Curve]
		if !ok {
			return key{}, errors.New("an ECDSA key on another curve than P-256, P-384 and P-521")
		}
		algs = []jose.SignatureAlgorithm{alg}
	case ed25519.PublicKey:
		algs = []jose.SignatureAlgorithm{jose.EdDSA}
	case []byte:
		if len(p) < minSecretLen {
			return key{}, fmt.Errorf("a secret of %d bytes; at least %d are wanted", len(p), minSecretLen)
		}
		algs = secretAlgorithms(len(p))
	default:
		return key{}, errors.New("no public key of RSA, ECDSA or Ed25519; keep private keys with the issuer")
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

// parseSet reads a JWK Set. Keys that it cannot use it leaves out, as RFC 7517 wants it: an
// issuer may publish kinds that are younger than this program. One at least must be usable.
func parseSet(text []byte) ([]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("no JWK Set: JSON with a list of keys, none of whose names is there twice") // the decoder's words repeat what they stumble over
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys; at most %d are taken", len(set.Keys), maxKeys)
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
		return nil, fmt.Errorf("the JWK Set has no key that tokens can be verified with%w", cmp.Or(unusable, errors.New("; it is empty")))
	}
	return keys, nil
}

func parseJWK(raw []byte) (key, error) {
	var jwk jose.JSONWebKey
	var more struct {
		Ops []string `json:"key_ops"`
	}
	if json.Unmarshal(raw, &jwk) != nil || json.Unmarshal(raw, &more) != nil {
		return key{}, errors.New("of a kind that is not known here, or broken")
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
		return key{}, errors.New("for an algorithm (alg) that does not fit it, or is not known here")
	}
	k.algs = []jose.SignatureAlgorithm{alg}
	return k, nil
}

// choose returns the keys for an id: those of that id, or else those without any; all keys
// for no id.
func choose(keys []key, id string) []key {
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
	return invalidToken("the token is signed with a key (kid) that is not known here")
}
