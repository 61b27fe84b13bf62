package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// JWTOptions configure JWT. Exactly one of SecretFile, PublicKeyFile, JWKSFile and JWKSURL is
// needed; everything else has a default.
type JWTOptions struct {
	// SecretFile holds a secret for HS256, HS384 and HS512 as raw bytes: at least 32, and 48
	// and 64 for the latter two. One line break at its end is not part of it.
	SecretFile string
	// PublicKeyFile holds public keys or certificates in PEM: RSA of 2048 to 8192 bits (RS and
	// PS), ECDSA on P-256, P-384 or P-521 (ES), Ed25519 (EdDSA). Certificates count for their
	// key alone.
	PublicKeyFile string
	// JWKSFile holds a JWK Set; secrets ("oct") may be among its keys.
	JWKSFile string
	// JWKSURL is where the issuer publishes its JWK Set.
	JWKSURL string
	// JWKS say how JWKSURL is fetched.
	JWKS JWKSOptions

	// Algorithms are those that tokens may be signed with; every one above when empty. What a
	// key is not for, it never verifies, whatever stands here.
	Algorithms []string
	// Issuer is what the claim iss must be; not looked at when empty.
	Issuer string
	// Audience are the names of this service, of which the claim aud must hold one. When
	// empty, a token that has an audience is refused, for it is somebody else's.
	Audience []string
	// AnyAudience accepts tokens for everybody; the claim aud is not looked at.
	AnyAudience bool
	// Types are the header typ that tokens may have; JWT and at+jwt when empty. One without
	// typ is accepted always.
	Types []string
	// AllowNoExpiry accepts tokens without the claim exp, which are good for ever.
	AllowNoExpiry bool
	// MaxLifetime bounds exp - iat, or exp - now for a token without iat; not bounded when zero.
	// It also refuses tokens without exp.
	MaxLifetime time.Duration
	// Leeway is how far this clock and the issuer's may differ; 30 s when zero, none when
	// negative, at most 10 minutes.
	Leeway time.Duration

	// Cookie names a cookie that may hold the token, beside Authorization: Bearer. One whose
	// value no cookie may have is no cookie, as everywhere in net/http. Browsers send it with
	// requests of foreign pages too, unless it says SameSite.
	Cookie string
	// Query accepts the token as ?access_token= too. It ends up in the logs of everything
	// between; see Redact.
	Query bool
	// MaxToken bounds a token, in bytes; 8192 when zero.
	MaxToken int

	// Claims say which claim fills which variable; {"user": "sub"} when nil. A claim is named
	// by its path, "address.city"; one whose whole name is that path goes first, so that
	// "https://example.com/city" can be named too. Strings and integers fill a variable. A
	// token without the claim leaves it unfilled, but for user: it is refused then.
	Claims map[string]string
	// WidenClaim, NarrowClaim and PublishClaim name the claims, by their path, with the
	// filters for Identity's Widen, Narrow and Publish: one string, or a list of at most 64.
	// Claims that are not named here are not looked at.
	WidenClaim, NarrowClaim, PublishClaim string
	// PresenceClaim names a claim, by its path, that is true for who may read who is connected.
	PresenceClaim string

	Logger *slog.Logger // nil discards
}

const (
	defaultLeeway   = 30 * time.Second
	maxLeeway       = 10 * time.Minute
	defaultMaxToken = 8192
)

func (o JWTOptions) withDefaults() JWTOptions {
	o.Leeway = max(cmp.Or(o.Leeway, defaultLeeway), 0)
	o.MaxToken = cmp.Or(o.MaxToken, defaultMaxToken)
	if o.Claims = maps.Clone(o.Claims); o.Claims == nil {
		o.Claims = map[string]string{"user": "sub"}
	}
	if len(o.Types) == 0 {
		o.Types = []string{"JWT", "at+jwt"}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func (o JWTOptions) check() error {
	if o.Leeway > maxLeeway {
		return fmt.Errorf("a leeway of %v is more than %v; set the clocks instead", o.Leeway, maxLeeway)
	}
	if o.MaxLifetime < 0 {
		return fmt.Errorf("a longest lifetime of %v is below zero", o.MaxLifetime)
	}
	if o.MaxToken < 0 {
		return fmt.Errorf("a token of at most %d bytes is none", o.MaxToken)
	}
	if o.AnyAudience && len(o.Audience) > 0 {
		return errors.New("an audience, and any audience: set one of them")
	}
	for variable, claim := range o.Claims {
		if err := checkVariable(variable); err != nil {
			return err
		}
		if claim == "" {
			return fmt.Errorf("name the claim that fills the variable %s", variable)
		}
	}
	return nil
}

// JWTSource takes identities from signed tokens. Make one with JWT, and close it.
type JWTSource struct {
	opts JWTOptions
	algs []jose.SignatureAlgorithm
	keys keySource
}

// Leeway returns how far the clocks of issuers may be ahead.
func (s *JWTSource) Leeway() time.Duration { return s.opts.Leeway }

// keySource finds the keys that a token may be signed with.
type keySource interface {
	// find returns the keys for a key id, which is empty where the token names none.
	find(ctx context.Context, id string) ([]key, error)
	refresh(ctx context.Context) error
	close()
}

// JWT returns a source for JSON Web Tokens (RFC 7519), signed and not encrypted. It reads a
// file of keys at once; a URL it begins to fetch, and does not wait for (see Refresh), so that
// an issuer that is down keeps no service from starting. Errors name what to change.
func JWT(opts JWTOptions) (*JWTSource, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	algs, err := algorithms(opts.Algorithms)
	if err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	keys, err := openKeys(opts)
	if err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	return &JWTSource{opts, algs, keys}, nil
}

func openKeys(o JWTOptions) (keySource, error) {
	set := 0
	for _, name := range []string{o.SecretFile, o.PublicKeyFile, o.JWKSFile, o.JWKSURL} {
		if name != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return nil, fmt.Errorf("%d sources of keys; set exactly one of a secret file, a public key file, a JWKS file and a JWKS URL", set)
	case o.SecretFile != "":
		return openFile(o.SecretFile, parseSecret)
	case o.PublicKeyFile != "":
		return openFile(o.PublicKeyFile, parsePEM)
	case o.JWKSFile != "":
		return openFile(o.JWKSFile, parseSet)
	}
	return fetchKeys(o.JWKSURL, o.JWKS, o.Logger)
}

// Refresh reads the keys again, from the file or the URL. It waits for a fetch that begins
// after the call, until ctx ends: twice JWKSOptions.Timeout at most. When it fails, the keys
// from before stay.
func (s *JWTSource) Refresh(ctx context.Context) error {
	if err := s.keys.refresh(ctx); err != nil {
		return fmt.Errorf("jwt: %w", err)
	}
	return nil
}

// Close ends the fetching of keys, and waits until it has ended. Keys that are there go on
// being used until they are too old. It may be called again.
func (s *JWTSource) Close() error {
	s.keys.close()
	return nil
}

// Identify is a Source. It refuses a token that is not good with 401 and a challenge, an
// expired one with ErrExpired; a token whose claims cannot be values of an identity (longer than
// 255 bytes, or not UTF-8), or several different tokens, with 400; and with 503 and ErrKeysUnavailable where the issuer's keys
// cannot be had. API keys (APIKeys) it leaves alone.
//
// With JWKSURL it may block on a fetch, for JWKSOptions.Timeout at most and no longer than
// the request's context lasts: as long as no keys are there, and for a key id that is not
// known. All requests wait for the same fetch.
func (s *JWTSource) Identify(r *http.Request) (Identity, error) {
	token, err := s.carried(r)
	if err != nil {
		return Identity{}, err
	}
	payload, err := s.verify(r.Context(), token)
	if err != nil {
		return Identity{}, err
	}
	return s.identity(payload)
}

func (s *JWTSource) carried(r *http.Request) (string, error) {
	var c carried
	c.bearer(r)
	if s.opts.Cookie != "" {
		c.cookie(r, s.opts.Cookie)
	}
	if s.opts.Query {
		c.query(r)
	}
	switch {
	case c.bad != nil:
		return "", c.bad
	case c.token == "", strings.HasPrefix(c.token, keyPrefix):
		return "", ErrNoIdentity
	case len(c.token) > s.opts.MaxToken:
		return "", invalidToken("the token is longer than %d bytes", s.opts.MaxToken)
	}
	return c.token, nil
}

// verify returns what the token says, once the signature is that of a key of ours.
func (s *JWTSource) verify(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, s.algs)
	if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return nil, invalidToken("the token's algorithm is not among those accepted here")
	}
	if err != nil || len(jws.Signatures) != 1 {
		return nil, invalidToken("the token cannot be read; it must be a signed JWT in its compact form") // what exactly, would repeat parts of it
	}
	header := jws.Signatures[0].Protected
	if err := s.checkHeader(header); err != nil {
		return nil, err
	}
	keys, err := s.keys.find(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	return verifyWith(jws, keys, jose.SignatureAlgorithm(header.Algorithm))
}

// maxTries bounds the keys that a token without a key id is tried with.
const maxTries = 16

func verifyWith(jws *jose.JSONWebSignature, keys []key, alg jose.SignatureAlgorithm) ([]byte, error) {
	tries := 0
	for _, k := range keys {
		if !k.isFor(alg) {
			continue
		}
		if tries++; tries > maxTries {
			return nil, invalidToken("the token names no key (kid), and there are too many to try each")
		}
		if payload, err := jws.Verify(k.public); err == nil {
			return payload, nil
		}
	}
	if tries == 0 {
		return nil, invalidToken("the token is signed with an algorithm that its key is not for")
	}
	return nil, invalidToken("the token's signature is not that of a key known here")
}

// checkHeader refuses what asks to be understood and is not, and tokens for other purposes:
// an issuer signs logout messages with the same keys.
func (s *JWTSource) checkHeader(h jose.Header) error {
	for _, name := range []jose.HeaderKey{"crit", "b64"} {
		if _, ok := h.ExtraHeaders[name]; ok {
			return invalidToken("the token needs an extension (%s) that a JWT does not have here", name)
		}
	}
	typ, ok := h.ExtraHeaders[jose.HeaderType]
	if !ok {
		return nil
	}
	name, _ := typ.(string)
	if prefix := "application/"; len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
		name = name[len(prefix):]
	}
	for _, accepted := range s.opts.Types {
		if strings.EqualFold(name, accepted) {
			return nil
		}
	}
	return invalidToken("the token is of another type (typ) than %s", strings.Join(s.opts.Types, ", "))
}
