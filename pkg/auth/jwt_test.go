package auth_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tidemark/tidemark/pkg/auth"
)

// signers returns all kinds of keys with their algorithms.
func signers() []struct {
	name string
	key  any
	algs []jose.SignatureAlgorithm
} {
	return []struct {
		name string
		key  any
		algs []jose.SignatureAlgorithm
	}{
		{"rsa", rsaKey(), []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}},
		{"p256", p256(), []jose.SignatureAlgorithm{jose.ES256}},
		{"p384", p384(), []jose.SignatureAlgorithm{jose.ES384}},
		{"p521", p521(), []jose.SignatureAlgorithm{jose.ES512}},
		{"ed25519", edKey(), []jose.SignatureAlgorithm{jose.EdDSA}},
		{"secret", []byte(secret), []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512}},
	}
}

func optionsFor(t *testing.T, key any) auth.JWTOptions {
	if raw, ok := key.([]byte); ok {
		return auth.JWTOptions{SecretFile: file(t, string(raw))}
	}
	return auth.JWTOptions{PublicKeyFile: file(t, publicPEM(key))}
}

func TestJWTAlgorithms(t *testing.T) {
	for _, mine := range signers() {
		source := openJWT(t, optionsFor(t, mine.key))
		for _, other := range signers() {
			for _, alg := range other.algs {
				token := sign(alg, other.key, "some", claims(nil))
				id, err := source.Identify(bearing(token))
				if mine.name == other.name {
					if err != nil || id.User() != "42" || id.Kind != auth.KindJWT {
						t.Errorf("%s with %s: %+v, %v", alg, mine.name, id, err)
					}
					continue
				}
				if status(err) != http.StatusUnauthorized || id.Vars != nil {
					t.Errorf("%s with %s: %+v, %v", alg, mine.name, id, err)
				}
				checkRefusal(t, err, token)
			}
		}
	}
}

// A public key is never used as a secret, regardless of the token's algorithm.
func TestJWTKeyConfusion(t *testing.T) {
	pemText := publicPEM(rsaKey())
	der := must(x509.MarshalPKIXPublicKey(public(rsaKey())))
	set := jwks(t, jose.JSONWebKey{Key: public(rsaKey()), KeyID: "a"})
	for name, source := range map[string]*auth.JWTSource{
		"pem":  openJWT(t, auth.JWTOptions{PublicKeyFile: file(t, pemText)}),
		"jwks": openJWT(t, auth.JWTOptions{JWKSFile: file(t, set)}),
	} {
		for _, secret := range [][]byte{[]byte(pemText), []byte(strings.TrimSpace(pemText)), der, []byte(set), rsaKey().N.Bytes(), {}} {
			for _, header := range []string{
				`{"alg":"HS256","kid":"a"}`, `{"alg":"HS256"}`, `{"alg":"none","kid":"a"}`, `{"alg":"None"}`, `{"alg":"NONE"}`, `{"alg":"nOnE"}`, `{"alg":""}`, `{"kid":"a"}`, `{"alg":null}`, `{"alg":["RS256"]}`,
				`{"alg":"RS256","kid":"a"}`, `{"alg":"HS256","alg":"RS256","kid":"a"}`, `{"alg":"RS256","ALG":"HS256"}`, `{"Alg":"HS256"}`,
			} {
				for _, token := range []string{forge(header, claims(nil), secret), unsigned(forge(header, claims(nil), secret))} {
					id, err := source.Identify(bearing(token))
					if status(err) != http.StatusUnauthorized || id.Vars != nil {
						t.Errorf("%s, %s: %+v, %v", name, header, id, err)
					}
					checkRefusal(t, err, token)
				}
			}
		}
	}
}

func unsigned(token string) string { return token[:strings.LastIndexByte(token, '.')+1] }

func TestJWTOfTheTokensOwnKey(t *testing.T) {
	source := openJWT(t, auth.JWTOptions{PublicKeyFile: file(t, publicPEM(rsaKey()))})
	embedded := signWith(jose.RS256, otherRSA(), &jose.SignerOptions{EmbedJWK: true}, claims(nil))
	elsewhere := signWith(jose.RS256, otherRSA(), (&jose.SignerOptions{}).WithHeader("jku", "https://attacker.example/jwks"), claims(nil))
	for _, token := range []string{embedded, elsewhere} {
		if _, err := source.Identify(bearing(token)); status(err) != http.StatusUnauthorized {
			t.Errorf("%v", err)
		}
	}
}

// flipped changes the lowest of the first six bits of a signature. A fixed letter would leave one
// signature in 64 unchanged.
func flipped(signature string) string {
	raw := must(base64.RawURLEncoding.DecodeString(signature))
	raw[0] ^= 4
	return base64.RawURLEncoding.EncodeToString(raw)
}

func TestJWTMalformed(t *testing.T) {
	source := openJWT(t, auth.JWTOptions{})
	good := hs256(claims(nil))
	parts := strings.Split(good, ".")
	tampered := strings.Replace(string(must(base64.RawURLEncoding.DecodeString(parts[1]))), `"42"`, `"43"`, 1)
	for name, token := range map[string]string{
		"a word":          "word",
		"dots":            "..",
		"one part":        parts[0],
		"two parts":       parts[0] + "." + parts[1],
		"four parts":      good + "." + parts[2],
		"five parts":      good + ".." + parts[2],
		"no signature":    unsigned(good),
		"no header":       "." + parts[1] + "." + parts[2],
		"no payload":      parts[0] + ".." + parts[2],
		"padded":          parts[0] + "=." + parts[1] + "." + parts[2],
		"another payload": parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(tampered)) + "." + parts[2],
		"another header":  base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS512"}`)) + "." + parts[1] + "." + parts[2],
		"a bit flipped":   parts[0] + "." + parts[1] + "." + flipped(parts[2]),
		"a space":         parts[0] + " ." + parts[1] + "." + parts[2],
		"two of them":     good + ", " + good,
		"as JSON":         `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"long":            good + strings.Repeat("A", 8192),
		"deep":            hs256([]byte(`{"sub":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`)),
		"crit":            signWith(jose.HS256, []byte(secret), (&jose.SignerOptions{}).WithHeader("crit", []string{"x"}).WithHeader("x", 1), claims(nil)),
		"a raw payload":   forge(`{"alg":"HS256","b64":false,"crit":["b64"]}`, claims(nil), []byte(secret)),
		"b64 alone":       forge(`{"alg":"HS256","b64":true}`, claims(nil), []byte(secret)),
		"a logout token":  signWith(jose.HS256, []byte(secret), (&jose.SignerOptions{}).WithType("logout+jwt"), claims(nil)),
		"typ a number":    forge(`{"alg":"HS256","typ":1}`, claims(nil), []byte(secret)),
		"kid a number":    forge(`{"alg":"HS256","kid":1}`, claims(nil), []byte(secret)),
		"no object":       hs256([]byte(`[]`)),
		"null":            hs256([]byte(`null`)),
		"a string":        hs256([]byte(`"x"`)),
		"nothing":         hs256([]byte(`x`)),
		"two values":      hs256([]byte(`{"sub":"1","exp":9999999999} {}`)),
		"a name twice":    hs256([]byte(`{"sub":"1","sub":"2","exp":9999999999}`)),
		"not UTF-8":       hs256([]byte("{\"sub\":\"a\xff\",\"exp\":9999999999}")),
		"sub in capitals": hs256([]byte(`{"SUB":"1","exp":9999999999}`)),
		"EXP in capitals": hs256([]byte(`{"sub":"1","EXP":9999999999}`)),
	} {
		id, err := source.Identify(bearing(token))
		if id.Vars != nil || status(err) == 0 || status(err) == http.StatusServiceUnavailable {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		checkRefusal(t, err, token)
	}
	for name, token := range map[string]string{
		"typ of an access token": signWith(jose.HS256, []byte(secret), (&jose.SignerOptions{}).WithType("application/AT+JWT"), claims(nil)),
		"no typ":                 signWith(jose.HS256, []byte(secret), nil, claims(nil)),
		"a good one":             good,
	} {
		if id, err := source.Identify(bearing(token)); id.User() != "42" || err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An algorithm that the operator omits is rejected, although it fits a key.
func TestJWTAlgorithmsNarrowed(t *testing.T) {
	source := openJWT(t, auth.JWTOptions{PublicKeyFile: file(t, publicPEM(rsaKey())), Algorithms: []string{"PS256"}})
	if _, err := source.Identify(bearing(sign(jose.PS256, rsaKey(), "", claims(nil)))); err != nil {
		t.Error(err)
	}
	if _, err := source.Identify(bearing(sign(jose.RS256, rsaKey(), "", claims(nil)))); status(err) != http.StatusUnauthorized {
		t.Error(err)
	}
}

func TestJWTShortSecret(t *testing.T) {
	source := openJWT(t, auth.JWTOptions{SecretFile: file(t, secret[:32]+"\n")})
	if _, err := source.Identify(bearing(sign(jose.HS256, []byte(secret[:32]), "", claims(nil)))); err != nil {
		t.Error(err)
	}
	for _, token := range []string{
		sign(jose.HS256, []byte(secret), "", claims(nil)),
		forge(`{"alg":"HS512"}`, claims(nil), []byte(secret[:32])),
		forge(`{"alg":"HS256"}`, claims(nil), nil),
	} {
		if _, err := source.Identify(bearing(token)); status(err) != http.StatusUnauthorized {
			t.Error(err)
		}
	}
}

func TestJWTPlaces(t *testing.T) {
	good, other := hs256(claims(nil)), hs256(claims(map[string]any{"sub": "43"}))
	source := openJWT(t, auth.JWTOptions{Cookie: "session", Query: true})
	for name, c := range map[string]struct {
		query   string
		headers []string
		user    string
		status  int
	}{
		"nowhere":                       {"", nil, "", 0},
		"another scheme":                {"", []string{"Authorization", "Basic " + good}, "", 0},
		"no scheme":                     {"", []string{"Authorization", good}, "", 0},
		"another cookie":                {"", []string{"Cookie", "other=" + good}, "", 0},
		"another parameter":             {"token=" + good, nil, "", 0},
		"an empty cookie":               {"", []string{"Cookie", "session="}, "", 0},
		"an empty parameter":            {"access_token=", nil, "", 0},
		"an API key":                    {"", []string{"Authorization", "Bearer tmk_x"}, "", 0},
		"the header":                    {"", []string{"Authorization", "bEARER   " + good + " "}, "42", 0},
		"the cookie":                    {"", []string{"Cookie", "a=b; session=" + good}, "42", 0},
		"the parameter":                 {"a=b&access_token=" + good, nil, "42", 0},
		"everywhere the same":           {"access_token=" + good, []string{"Authorization", "Bearer " + good, "Cookie", "session=" + good}, "42", 0},
		"two cookies, the same":         {"", []string{"Cookie", "session=" + good + "; session=" + good}, "42", 0},
		"header and cookie":             {"", []string{"Authorization", "Bearer " + good, "Cookie", "session=" + other}, "", 400},
		"header and parameter":          {"access_token=" + other, []string{"Authorization", "Bearer " + good}, "", 400},
		"cookie and parameter":          {"access_token=" + other, []string{"Cookie", "session=" + good}, "", 400},
		"two cookies":                   {"", []string{"Cookie", "session=" + good, "Cookie", "session=" + other}, "", 400},
		"two parameters":                {"access_token=" + good + "&access_token=" + other, nil, "", 400},
		"two headers":                   {"", []string{"Authorization", "Bearer " + good, "Authorization", "Bearer " + good}, "", 400},
		"two headers, one basic":        {"", []string{"Authorization", "Basic x", "Authorization", "Bearer " + good}, "", 400},
		"a header without a token":      {"access_token=" + good, []string{"Authorization", "Bearer "}, "", 400},
		"a parameter that is broken":    {"access_token=%zz" + good, nil, "", 400},
		"a semicolon":                   {"x;access_token=" + good, nil, "", 400},
		"a good cookie, a bad header":   {"", []string{"Cookie", "session=" + good, "Authorization", "Bearer x.y.z"}, "", 400},
		"a parameter that is no token":  {"access_token=" + url.QueryEscape(good+" "), nil, "", 401},
		"a cookie that is no token":     {"", []string{"Cookie", "session=42"}, "", 401},
		"a header joined by some proxy": {"", []string{"Authorization", "Bearer " + good + ",Bearer " + good}, "", 401},
	} {
		r := from("192.0.2.1:1", c.headers...)
		r.URL.RawQuery = c.query
		id, err := source.Identify(r)
		if id.User() != c.user || status(err) != c.status || (c.user == "" && c.status == 0) != errors.Is(err, auth.ErrNoIdentity) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
		checkRefusal(t, err, good, other)
	}

	// By default, cookies and the query are ignored.
	strict := openJWT(t, auth.JWTOptions{})
	r := from("192.0.2.1:1", "Cookie", "session="+good)
	r.URL.RawQuery = "access_token=" + good
	if id, err := strict.Identify(r); !errors.Is(err, auth.ErrNoIdentity) {
		t.Errorf("%+v, %v", id, err)
	}
}

func TestJWTOptions(t *testing.T) {
	secretFile, keyFile, setFile := file(t, secret), file(t, publicPEM(p256())), file(t, jwks(t, jose.JSONWebKey{Key: public(p256())}))
	for name, c := range map[string]struct {
		opts auth.JWTOptions
		want string
	}{
		"no keys":              {auth.JWTOptions{}, "0 sources"},
		"two sources":          {auth.JWTOptions{SecretFile: secretFile, PublicKeyFile: keyFile}, "2 sources"},
		"a file and a URL":     {auth.JWTOptions{JWKSFile: setFile, JWKSURL: "https://id.example"}, "2 sources"},
		"the same file twice":  {auth.JWTOptions{JWKSFile: setFile, SecretFile: setFile}, "2 sources"},
		"an algorithm":         {auth.JWTOptions{SecretFile: secretFile, Algorithms: []string{"none"}}, `"none"`},
		"an encryption":        {auth.JWTOptions{SecretFile: secretFile, Algorithms: []string{"HS256", "RSA-OAEP"}}, "RSA-OAEP"},
		"a variable":           {auth.JWTOptions{SecretFile: secretFile, Claims: map[string]string{"a.b": "sub"}}, "a.b"},
		"a variable of none":   {auth.JWTOptions{SecretFile: secretFile, Claims: map[string]string{"": "sub"}}, "variable"},
		"a claim of none":      {auth.JWTOptions{SecretFile: secretFile, Claims: map[string]string{"city": ""}}, "city"},
		"too much leeway":      {auth.JWTOptions{SecretFile: secretFile, Leeway: time.Hour}, "leeway"},
		"a negative bound":     {auth.JWTOptions{SecretFile: secretFile, MaxToken: -1}, "token"},
		"two audiences":        {auth.JWTOptions{SecretFile: secretFile, AnyAudience: true, Audience: []string{"x"}}, "audience"},
		"no file":              {auth.JWTOptions{SecretFile: secretFile + "x"}, "filex"},
		"a short secret":       {auth.JWTOptions{SecretFile: file(t, secret[:31])}, "31 bytes"},
		"a key for a secret":   {auth.JWTOptions{SecretFile: keyFile}, "instead of a secret"},
		"a set for a secret":   {auth.JWTOptions{SecretFile: setFile}, "instead of a secret"},
		"DER for a secret":     {auth.JWTOptions{SecretFile: file(t, string(must(x509.MarshalPKIXPublicKey(public(rsaKey())))))}, "instead of a secret"},
		"base64 for a secret":  {auth.JWTOptions{SecretFile: file(t, strings.Join(strings.Split(publicPEM(rsaKey()), "\n")[1:8], "\n"))}, "instead of a secret"},
		"a set for a key":      {auth.JWTOptions{PublicKeyFile: setFile}, "no PEM"},
		"a secret for a key":   {auth.JWTOptions{PublicKeyFile: secretFile}, "no PEM"},
		"a private key":        {auth.JWTOptions{PublicKeyFile: file(t, pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(p256()))))}, "private key"},
		"a broken key":         {auth.JWTOptions{PublicKeyFile: file(t, pemOf("PUBLIC KEY", []byte("x")))}, "block 1"},
		"a second broken key":  {auth.JWTOptions{PublicKeyFile: file(t, publicPEM(p256())+pemOf("CERTIFICATE", []byte("x")))}, "block 2"},
		"half a key":           {auth.JWTOptions{PublicKeyFile: file(t, publicPEM(p256())+publicPEM(rsaKey())[:200])}, "last PEM block"},
		"a request":            {auth.JWTOptions{PublicKeyFile: file(t, pemOf("CERTIFICATE REQUEST", []byte("x")))}, "neither"},
		"a weak key":           {auth.JWTOptions{PublicKeyFile: file(t, publicPEM(weakRSA()))}, "1024 bits"},
		"a curve":              {auth.JWTOptions{PublicKeyFile: file(t, publicPEM(p224()))}, "curve"},
		"a huge file":          {auth.JWTOptions{JWKSFile: file(t, strings.Repeat(" ", 1<<20+1))}, "larger than"},
		"a key for a set":      {auth.JWTOptions{JWKSFile: keyFile}, "not a JWK Set"},
		"an empty set":         {auth.JWTOptions{JWKSFile: file(t, `{"keys":[]}`)}, "no usable key"},
		"a single JWK":         {auth.JWTOptions{JWKSFile: file(t, string(must(json.Marshal(jose.JSONWebKey{Key: public(p256())}))))}, "no usable key"},
		"plain HTTP":           {auth.JWTOptions{JWKSURL: "http://id.example/jwks"}, "TLS"},
		"another scheme":       {auth.JWTOptions{JWKSURL: "file:///jwks"}, "https"},
		"no URL":               {auth.JWTOptions{JWKSURL: "id.example"}, "https"},
		"a bad time":           {auth.JWTOptions{JWKSURL: "https://id.example", JWKS: auth.JWKSOptions{Timeout: -1}}, "negative"},
		"an interval too long": {auth.JWTOptions{JWKSURL: "https://id.example", JWKS: auth.JWKSOptions{MinInterval: time.Hour}}, "interval"},
	} {
		source, err := auth.JWT(c.opts)
		if err == nil || source != nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret[:16]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestJWTCertificateAndSeveralKeys(t *testing.T) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}}
	cert := must(x509.CreateCertificate(nil, template, template, public(edKey()), edKey()))
	pkcs1 := pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey))
	source := openJWT(t, auth.JWTOptions{PublicKeyFile: file(t, pemOf("CERTIFICATE", cert)+pkcs1+publicPEM(p256()))})
	for _, token := range []string{
		sign(jose.EdDSA, edKey(), "", claims(nil)), sign(jose.RS256, rsaKey(), "any", claims(nil)), sign(jose.ES256, p256(), "", claims(nil)),
	} {
		if _, err := source.Identify(bearing(token)); err != nil {
			t.Error(err)
		}
	}
	if _, err := source.Identify(bearing(sign(jose.RS256, otherRSA(), "", claims(nil)))); status(err) != http.StatusUnauthorized {
		t.Error(err)
	}
}

func TestJWTRefreshesAFile(t *testing.T) {
	name := file(t, secret)
	source := openJWT(t, auth.JWTOptions{SecretFile: name})
	next := strings.Repeat("x", 64)
	if err := os.WriteFile(name, []byte(next), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := source.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Identify(bearing(hs256(claims(nil)))); status(err) != http.StatusUnauthorized {
		t.Error(err)
	}
	token := sign(jose.HS256, []byte(next), "", claims(nil))
	if err := os.Truncate(name, 0); err != nil {
		t.Fatal(err)
	}
	if err := source.Refresh(t.Context()); err == nil {
		t.Error("an empty file is refused")
	}
	if _, err := source.Identify(bearing(token)); err != nil {
		t.Errorf("the secret from before stays: %v", err)
	}
}

// A configured name cannot end the quoted text of the challenge.
func TestJWTChallengeIsAHeader(t *testing.T) {
	source := openJWT(t, auth.JWTOptions{Claims: map[string]string{"user": "a\"b\\c\r\nX: ü"}})
	_, err := source.Identify(bearing(hs256(claims(nil))))
	refused, ok := errors.AsType[*auth.Error](err)
	if !ok || refused.Challenge != `Bearer error="invalid_token", error_description="the token has no claim a'b'c''X: ' for the user"` {
		t.Errorf("%+v", refused)
	}
}

func BenchmarkJWT(b *testing.B) {
	set := file(b, jwks(b, jwk("rsa", rsaKey()), jwk("ec", p256()), jwk("ed", edKey()), jose.JSONWebKey{KeyID: "hs", Key: []byte(secret)}))
	source := openJWT(b, auth.JWTOptions{JWKSFile: set})
	for name, token := range map[string]string{
		"RS256": sign(jose.RS256, rsaKey(), "rsa", claims(nil)), "ES256": sign(jose.ES256, p256(), "ec", claims(nil)),
		"EdDSA": sign(jose.EdDSA, edKey(), "ed", claims(nil)), "HS256": sign(jose.HS256, []byte(secret), "hs", claims(nil)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for r := bearing(token); b.Loop(); {
				if _, err := source.Identify(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func ExampleJWT() {
	name := must(os.CreateTemp("", "secret"))
	defer os.Remove(name.Name())
	_ = must(name.WriteString(secret))

	source, err := auth.JWT(auth.JWTOptions{
		SecretFile: name.Name(), Issuer: "https://id.example/", Audience: []string{"tidemark"},
		Claims:       map[string]string{"user": "sub", "city": "address.city"},
		PublishClaim: "https://tidemark.example/publish",
	})
	if err != nil {
		panic(err)
	}
	defer source.Close()

	identify := auth.Required(source.Identify)
	token := hs256(map[string]any{
		"iss": "https://id.example/", "aud": "tidemark", "exp": time.Now().Add(time.Hour).Unix(),
		"sub": "42", "address": map[string]any{"city": "Bern"}, "https://tidemark.example/publish": "codes.*",
	})
	id, err := identify(bearing(token))
	fmt.Println(id.Kind, id.Vars, id.MayPublish("codes.7"), err)
	_, err = identify(httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(err)
	// Output:
	// jwt map[city:Bern user:42] true <nil>
	// this needs an identity: send a token, as in Authorization: Bearer TOKEN
}
