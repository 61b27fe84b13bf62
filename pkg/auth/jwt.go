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

// JWTOptions configures JWT. Set exactly one of SecretFile, PublicKeyFile, JWKSFile and JWKSURL.
// All other fields have a default.
type JWTOptions struct {
	// SecretFile contains a secret for HS256, HS384 and HS512 as raw bytes: at least 32, 48 and 64 bytes.
	// One line break at the end is removed.
	SecretFile string
	// PublicKeyFile contains public keys or certificates in PEM: RSA of 2048 to 8192 bits (RS and
	// PS), ECDSA on P-256, P-384 or P-521 (ES), Ed25519 (EdDSA). Only the key of a certificate is
	// used.
	PublicKeyFile string
	// JWKSFile contains a JWK Set, which may include secrets ("oct").
	JWKSFile string
	// JWKSURL is the URL of the issuer's JWK Set.
	JWKSURL string
	// JWKS configures the fetching of JWKSURL.
	JWKS JWKSOptions

	// Algorithms limits the accepted algorithms; empty means all listed above. A key is never used with
	// an algorithm of another key type, regardless of this list.
	Algorithms []string
	// Issuer is the required value of the claim iss; if empty, iss is not checked.
	Issuer string
	// Audience contains the names of this service. The claim aud must contain one of them. If Audience is
	// empty, tokens with an audience are rejected, because they are for another service.
	Audience []string
	// AnyAudience accepts tokens with any audience.
	AnyAudience bool
	// Types contains the accepted values of the header typ; JWT and at+jwt if empty. Tokens without typ
	// are always accepted.
	Types []string
	// AllowNoExpiry accepts tokens without the claim exp. Such tokens do not expire.
	AllowNoExpiry bool
	// MaxLifetime limits exp - iat, or exp - now for a token without iat; zero means no limit.
	// With a limit, tokens without exp are rejected.
	MaxLifetime time.Duration
	// Leeway is the accepted difference between this clock and the issuer's; 30 s if zero, none if
	// negative, at most 10 minutes.
	Leeway time.Duration

	// Cookie is the name of a cookie with the token, in addition to Authorization: Bearer. As everywhere
	// in net/http, cookies with invalid values are ignored. Browsers send the cookie with requests of
	// other sites too, unless it has the attribute SameSite.
	Cookie string
	// Query also accepts the token as ?access_token=. Proxies then log the token; see Redact.
	Query bool
	// MaxToken limits the size of a token, in bytes; 8192 if zero.
	MaxToken int

	// Claims maps variables to claims; {"user": "sub"} if nil. A claim is given by its path, such as
	// "address.city". A claim with the whole path as its name has precedence, so that
	// "https://example.com/city" is possible too. Strings and integers are accepted. If a token lacks
	// the claim, the variable is not set; without the claim for user the token is rejected.
	Claims map[string]string
	// WidenClaim, NarrowClaim and PublishClaim are the paths of the claims with the filters for
	// Identity's Widen, Narrow and Publish: one string, or a list of at most 64. An empty path means
	// that there is no such claim.
	WidenClaim, NarrowClaim, PublishClaim string
	// PresenceClaim is the path of a claim that grants access to the presence API if it is true.
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
		return fmt.Errorf("a leeway of %v is more than %v; synchronise the clocks instead", o.Leeway, maxLeeway)
	}
	if o.MaxLifetime < 0 {
		return fmt.Errorf("a maximum lifetime of %v is negative; use 0 for no limit", o.MaxLifetime)
	}
	if o.MaxToken < 0 {
		return fmt.Errorf("a token size limit of %d bytes is negative; use 0 for the default", o.MaxToken)
	}
	if o.AnyAudience && len(o.Audience) > 0 {
		return errors.New("both an audience and any audience are set; set one of them")
	}
	for variable, claim := range o.Claims {
		if err := checkVariable(variable); err != nil {
			return err
		}
		if claim == "" {
			return fmt.Errorf("the variable %s has no claim; name one", variable)
		}
	}
	return nil
}

// JWTSource reads identities from signed tokens. Create it with JWT, and close it after use.
type JWTSource struct {
	opts JWTOptions
	algs []jose.SignatureAlgorithm
	keys keySource
}

// Leeway returns the accepted difference between this clock and the issuer's.
func (s *JWTSource) Leeway() time.Duration { return s.opts.Leeway }

// keySource provides the keys for the verification of tokens.
type keySource interface {
	// find returns the keys for a key id. The id is empty if the token has none.
	find(ctx context.Context, id string) ([]key, error)
	refresh(ctx context.Context) error
	close()
}

// JWT returns a source for JSON Web Tokens (RFC 7519), signed and not encrypted.
//
// It reads a file of keys before it returns. It fetches a URL in the background, so that a service can
// start while the issuer is down. To wait for the keys, use Refresh.
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

// Refresh reads the keys again, from the file or the URL. If it fails, the previous keys stay in use.
//
// For a URL it waits until a fetch that started after the call has ended, or until ctx ends: at most
// twice JWKSOptions.Timeout.
func (s *JWTSource) Refresh(ctx context.Context) error {
	if err := s.keys.refresh(ctx); err != nil {
		return fmt.Errorf("jwt: %w", err)
	}
	return nil
}

// Close stops the fetching of keys and waits for the end of a running fetch. Identify still accepts the
// keys until they are older than JWKSOptions.MaxStale. Close may be called again.
func (s *JWTSource) Close() error {
	s.keys.close()
	return nil
}

// Identify is a Source for JWTs. It ignores API keys, and rejects requests with these statuses:
//
//   - 401 and a challenge for an invalid token; the error wraps ErrExpired for an expired one;
//   - 400 for several different tokens, and for claims that cannot be values of an identity (longer than
//     255 bytes, or not UTF-8);
//   - 503 and ErrKeysUnavailable if the issuer's keys are not available.
//
// With JWKSURL it blocks on a fetch while there are no keys, and for an unknown key id. The wait is
// limited by JWKSOptions.Timeout and the request's context. Concurrent requests wait for the same
// fetch.
func (s *JWTSource) Identify(r *http.Request) (Identity, error) {
	token, err := s.tokenOf(r)
	if err != nil {
		return Identity{}, err
	}
	payload, err := s.verify(r.Context(), token)
	if err != nil {
		return Identity{}, err
	}
	return s.identity(payload)
}

func (s *JWTSource) tokenOf(r *http.Request) (string, error) {
	var c requestToken
	c.bearer(r)
	if s.opts.Cookie != "" {
		c.cookie(r, s.opts.Cookie)
	}
	if s.opts.Query {
		c.query(r)
	}
	switch {
	case c.err != nil:
		return "", c.err
	case c.token == "", strings.HasPrefix(c.token, keyPrefix):
		return "", ErrNoIdentity
	case len(c.token) > s.opts.MaxToken:
		return "", invalidToken("the token is longer than %d bytes", s.opts.MaxToken)
	}
	return c.token, nil
}

// verify checks the signature of a token and returns its payload.
func (s *JWTSource) verify(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, s.algs)
	if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return nil, invalidToken("the token's algorithm is not among those accepted here")
	}
	if err != nil || len(jws.Signatures) != 1 {
		return nil, invalidToken("the token cannot be read; it must be a signed JWT in its compact form") // the library's error contains parts of the token
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

// maxTries is the largest number of keys to try for a token without a key id.
const maxTries = 16

func verifyWith(jws *jose.JSONWebSignature, keys []key, alg jose.SignatureAlgorithm) ([]byte, error) {
	tries := 0
	for _, k := range keys {
		if !k.isFor(alg) {
			continue
		}
		if tries++; tries > maxTries {
			return nil, invalidToken("the token has no key id (kid), and there are too many keys to try; set kid")
		}
		if payload, err := jws.Verify(k.public); err == nil {
			return payload, nil
		}
	}
	if tries == 0 {
		return nil, invalidToken("the token's algorithm does not fit its key")
	}
	return nil, invalidToken("the token's signature is not from a known key")
}

// checkHeader rejects tokens with critical extensions, and tokens of other types. An issuer signs logout
// messages, for example, with the same keys.
func (s *JWTSource) checkHeader(h jose.Header) error {
	for _, name := range []jose.HeaderKey{"crit", "b64"} {
		if _, ok := h.ExtraHeaders[name]; ok {
			return invalidToken("the token uses the extension %s, which is not supported", name)
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
	return invalidToken("the token has another type (typ) than %s", strings.Join(s.opts.Types, ", "))
}
