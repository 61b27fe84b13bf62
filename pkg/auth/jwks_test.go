package auth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tidemark/tidemark/internal/testkit"
	"github.com/tidemark/tidemark/pkg/auth"
)

// jwks returns a JWK Set in the form published by an issuer.
func jwks(t testing.TB, keys ...jose.JSONWebKey) string {
	t.Helper()
	return string(must(json.Marshal(jose.JSONWebKeySet{Keys: keys})))
}

func jwk(id string, key any) jose.JSONWebKey {
	return jose.JSONWebKey{KeyID: id, Key: public(key), Use: "sig"}
}

func TestJWKSet(t *testing.T) {
	raw := func(text string) string { return `{"keys":[` + text + `]}` }
	of := func(k jose.JSONWebKey, with string) string {
		return strings.TrimSuffix(string(must(json.Marshal(k))), "}") + with + "}"
	}
	set := openJWT(t, auth.JWTOptions{JWKSFile: file(t, raw(strings.Join([]string{
		`{"kty":"AKP","alg":"ML-DSA-44","pub":"AA","kid":"young"}`, `{"kty":"OKP","crv":"X25519","x":"AA"}`, `{"kty":"EC","crv":"P-256"}`, `{}`, `1`,
		of(jwk("rsa", rsaKey()), ""),
		of(jose.JSONWebKey{KeyID: "ps", Key: public(rsaKey()), Algorithm: "PS512"}, ""),
		of(jose.JSONWebKey{KeyID: "enc", Key: public(rsaKey()), Use: "enc"}, ""),
		of(jose.JSONWebKey{KeyID: "oaep", Key: public(rsaKey()), Algorithm: "RSA-OAEP"}, ""),
		of(jose.JSONWebKey{KeyID: "confused", Key: public(rsaKey()), Algorithm: "HS256"}, ""),
		of(jose.JSONWebKey{KeyID: "wrap", Key: public(rsaKey())}, `,"key_ops":["wrapKey"]`),
		of(jose.JSONWebKey{KeyID: "verify", Key: public(rsaKey())}, `,"key_ops":["sign","verify"]`),
		of(jose.JSONWebKey{KeyID: "private", Key: rsaKey()}, ""),
		of(jose.JSONWebKey{KeyID: "weak", Key: weakRSA()}, ""),
		of(jwk("p256", p256()), ""), of(jwk("p521", p521()), ""), of(jwk("ed", edKey()), ""),
		of(jose.JSONWebKey{KeyID: "oct", Key: []byte(secret), Algorithm: "HS384"}, ""),
		of(jose.JSONWebKey{KeyID: "short", Key: []byte(secret[:16])}, ""),
	}, ",")))})
	for _, c := range []struct {
		alg jose.SignatureAlgorithm
		key any
		id  string
		ok  bool
	}{
		{jose.RS256, rsaKey(), "rsa", true}, {jose.PS384, rsaKey(), "rsa", true}, {jose.RS256, rsaKey(), "", true},
		{jose.PS512, rsaKey(), "ps", true}, {jose.RS256, rsaKey(), "ps", false}, {jose.PS256, rsaKey(), "ps", false},
		{jose.RS256, rsaKey(), "enc", false}, {jose.RS256, rsaKey(), "oaep", false}, {jose.RS256, rsaKey(), "confused", false},
		{jose.RS256, rsaKey(), "wrap", false}, {jose.RS256, rsaKey(), "verify", true}, {jose.RS256, rsaKey(), "private", false},
		{jose.ES256, p256(), "p256", true}, {jose.ES256, p256(), "p521", false}, {jose.ES512, p521(), "p521", true}, {jose.ES384, p384(), "", false},
		{jose.EdDSA, edKey(), "ed", true}, {jose.EdDSA, edKey(), "young", false}, {jose.EdDSA, edKey(), "", true},
		{jose.HS384, []byte(secret), "oct", true}, {jose.HS256, []byte(secret), "oct", false},
		{jose.RS256, otherRSA(), "rsa", false}, {jose.RS256, rsaKey(), "unknown", false}, {jose.RS256, rsaKey(), "p256", false},
		{jose.RS256, rsaKey(), "RSA", false},
	} {
		token := sign(c.alg, c.key, c.id, claims(nil))
		id, err := set.Identify(bearing(token))
		if (err == nil) != c.ok || !c.ok && status(err) != http.StatusUnauthorized {
			t.Errorf("%s, kid %q: %+v, %v", c.alg, c.id, id, err)
		}
		checkRefusal(t, err, token)
	}

	many := make([]string, 65)
	for i := range many {
		many[i] = of(jwk(fmt.Sprint("k", i), p256()), "")
	}
	if _, err := auth.JWT(auth.JWTOptions{JWKSFile: file(t, raw(strings.Join(many, ",")))}); err == nil || !strings.Contains(err.Error(), "at most 64") {
		t.Errorf("65 keys: %v", err)
	}
	// A token without a key id is not tried with all of a large set.
	for i := range many {
		many[i] = of(jwk(fmt.Sprint("k", i), must(newP256())), "")
	}
	large := openJWT(t, auth.JWTOptions{JWKSFile: file(t, raw(strings.Join(many[:17], ",")))})
	if _, err := large.Identify(bearing(sign(jose.ES256, p256(), "", claims(nil)))); status(err) != http.StatusUnauthorized || !strings.Contains(err.Error(), "too many") {
		t.Errorf("without a key id: %v", err)
	}
}

// issuer publishes keys, and simulates the failures of issuers.
type issuer struct {
	*httptest.Server
	fetches atomic.Int64
	mu      sync.Mutex
	answer  http.HandlerFunc
}

func newIssuer(t testing.TB, keys ...jose.JSONWebKey) *issuer {
	i := &issuer{}
	i.publish(t, keys...)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.fetches.Add(1)
		i.mu.Lock()
		answer := i.answer
		i.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) answers(h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = h
}

func (i *issuer) says(status int, body string) {
	i.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func (i *issuer) publish(t testing.TB, keys ...jose.JSONWebKey) {
	i.says(http.StatusOK, jwks(t, keys...))
}

// follow opens a source and waits until its first fetch has ended.
func (i *issuer) follow(t testing.TB, opts auth.JWKSOptions) *auth.JWTSource {
	t.Helper()
	source := openJWT(t, auth.JWTOptions{JWKSURL: i.URL + "/jwks?key=SECRET", JWKS: opts})
	return source
}

func TestJWKSURL(t *testing.T) {
	i := newIssuer(t, jwk("a", rsaKey()), jwk("b", p256()), jose.JSONWebKey{KeyID: "oct", Key: []byte(secret)})
	source := i.follow(t, auth.JWKSOptions{})
	for _, c := range []struct {
		token string
		ok    bool
	}{
		{sign(jose.RS256, rsaKey(), "a", claims(nil)), true}, // waits for the first fetch
		{sign(jose.ES256, p256(), "b", claims(nil)), true},
		{sign(jose.ES256, p256(), "", claims(nil)), true},
		{sign(jose.RS256, otherRSA(), "a", claims(nil)), false},
		{sign(jose.HS256, []byte(secret), "oct", claims(nil)), false}, // a published secret is not accepted
		{sign(jose.HS256, []byte(secret), "", claims(nil)), false},
	} {
		if id, err := source.Identify(bearing(c.token)); (err == nil) != c.ok || !c.ok && status(err) != http.StatusUnauthorized {
			t.Errorf("%+v, %v", id, err)
		}
	}
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// An unknown key id causes one fetch, and no further fetch within the minimum interval.
func TestJWKSRotation(t *testing.T) {
	i := newIssuer(t, jwk("old", rsaKey()))
	source := i.follow(t, auth.JWKSOptions{MinInterval: time.Nanosecond})
	old, young := bearing(sign(jose.RS256, rsaKey(), "old", claims(nil))), bearing(sign(jose.ES256, p256(), "new", claims(nil)))
	if _, err := source.Identify(old); err != nil {
		t.Fatal(err)
	}
	i.publish(t, jwk("new", p256()))
	if _, err := source.Identify(young); err != nil {
		t.Errorf("the new key: %v", err)
	}
	if _, err := source.Identify(old); status(err) != http.StatusUnauthorized || errors.Is(err, auth.ErrKeysUnavailable) {
		t.Errorf("the old key has been withdrawn: %v", err)
	}
	if n := i.fetches.Load(); n != 3 {
		t.Errorf("%d fetches", n)
	}

	limited := i.follow(t, auth.JWKSOptions{MinInterval: 10 * time.Minute})
	var clients sync.WaitGroup
	for n := range 50 {
		clients.Go(func() {
			token := sign(jose.ES256, p256(), fmt.Sprint("made-up-", n), claims(nil))
			if _, err := limited.Identify(bearing(token)); status(err) != http.StatusUnauthorized {
				t.Errorf("%v", err)
			}
		})
	}
	clients.Wait()
	if n := i.fetches.Load(); n != 4 {
		t.Errorf("%d fetches for made-up key ids", n-3)
	}
	if _, err := limited.Identify(young); err != nil {
		t.Errorf("a known key is not disturbed: %v", err)
	}
}

// After a failed fetch the previous keys stay in use. Without keys the response is 503.
func TestJWKSBroken(t *testing.T) {
	good := bearing(sign(jose.RS256, rsaKey(), "a", claims(nil)))
	other := bearing(sign(jose.RS256, rsaKey(), "unknown", claims(nil)))
	for name, answer := range map[string]http.HandlerFunc{
		"an error":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"not found":    http.NotFound,
		"nothing":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"garbage":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>SECRET")) },
		"an empty set": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"secrets": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, jwks(t, jose.JSONWebKey{Key: []byte(secret)}))
		},
		"far too much": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, jwks(t, jwk("a", rsaKey()))+strings.Repeat(" ", 1<<16))
		},
		"without end": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<16)); err != nil {
					return
				}
			}
		},
		"half of it": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"keys":`))
		},
		"a cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"redirects": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		},
		"slowly": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"slowly, byte by byte": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[`))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := auth.JWKSOptions{MinInterval: 10 * time.Millisecond, Timeout: 300 * time.Millisecond, MaxBytes: 1 << 14}
			i := newIssuer(t, jwk("a", rsaKey()))
			var log testkit.Log
			jwt := auth.JWTOptions{JWKSURL: i.URL + "/jwks?key=SECRET", JWKS: opts, Logger: slog.New(slog.NewTextHandler(&log, nil))}
			jwt.JWKS.Timeout = 10 * time.Second
			warm := openJWT(t, jwt)
			if err := warm.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			jwt.JWKS.Timeout = opts.Timeout
			i.answers(answer)
			cold := openJWT(t, jwt)
			if _, err := cold.Identify(good); status(err) != http.StatusServiceUnavailable || !errors.Is(err, auth.ErrKeysUnavailable) {
				t.Errorf("without keys: %v", err)
			}
			if err := cold.Refresh(t.Context()); err == nil || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("Refresh: %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			if err := warm.Refresh(ctx); err == nil {
				t.Error("Refresh says nothing")
			}
			if _, err := warm.Identify(good); err != nil {
				t.Errorf("with keys from before: %v", err)
			}
			if _, err := warm.Identify(other.WithContext(ctx)); status(err) != http.StatusServiceUnavailable {
				t.Errorf("a key id that may have come meanwhile: %v", err)
			}
			i.publish(t, jwk("unknown", rsaKey()))
			for err := cold.Refresh(t.Context()); err != nil; err = cold.Refresh(t.Context()) {
				if !errors.Is(err, context.DeadlineExceeded) { // a slow machine
					t.Fatalf("the issuer is back: %v", err)
				}
			}
			if _, err := cold.Identify(other); err != nil {
				t.Errorf("the issuer is back: %v", err)
			}
			if text := log.String(); !strings.Contains(text, "auth: jwks fetch failed") || strings.Contains(text, "SECRET") {
				t.Errorf("the log: %s", text)
			}
		})
	}
}

func TestJWKSDown(t *testing.T) {
	i := newIssuer(t)
	i.Close()
	source := i.follow(t, auth.JWKSOptions{})
	_, err := source.Identify(bearing(sign(jose.RS256, rsaKey(), "a", claims(nil))))
	if status(err) != http.StatusServiceUnavailable || !errors.Is(err, auth.ErrKeysUnavailable) || strings.Contains(err.Error(), i.URL) {
		t.Errorf("%v", err)
	}
}

func TestJWKSRedirectAwayFromTLS(t *testing.T) {
	plain := newIssuer(t, jwk("a", rsaKey()))
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer secure.Close()
	source := openJWT(t, auth.JWTOptions{JWKSURL: secure.URL, JWKS: auth.JWKSOptions{Client: secure.Client()}})
	defer secure.Client().CloseIdleConnections()
	if err := source.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "away from TLS") {
		t.Errorf("%v", err)
	}
	if plain.fetches.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

// Close ends a running fetch with an error for the waiting requests. Known keys stay in use.
func TestJWKSClose(t *testing.T) {
	i := newIssuer(t, jwk("a", rsaKey()))
	source := i.follow(t, auth.JWKSOptions{MinInterval: time.Nanosecond, Timeout: time.Hour})
	good := bearing(sign(jose.RS256, rsaKey(), "a", claims(nil)))
	if _, err := source.Identify(good); err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	i.answers(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	waiting := make(chan error)
	go func() {
		_, err := source.Identify(bearing(sign(jose.RS256, rsaKey(), "new", claims(nil))))
		waiting <- err
	}()
	<-asked
	if err := source.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waiting; status(err) != http.StatusServiceUnavailable {
		t.Errorf("who waits: %v", err)
	}
	if _, err := source.Identify(good); err != nil {
		t.Errorf("a known key: %v", err)
	}
	if err := source.Refresh(t.Context()); err == nil {
		t.Error("Refresh of a closed source")
	}
	if err := source.Close(); err != nil {
		t.Error(err)
	}
}
