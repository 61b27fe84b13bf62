package auth_test

import (
	"net/http"
	"os"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tidemark/tidemark/pkg/auth"
)

// FuzzToken checks that neither a token nor a signed payload causes a panic or an invalid identity.
func FuzzToken(f *testing.F) {
	good := hs256(claims(nil))
	f.Add(good, []byte(`{"sub":"42","exp":9999999999}`))
	f.Add(good+".", []byte(`{"sub":7,"exp":1e10,"jti":"x","w":["a.>"],"n":"*","p":[]}`))
	f.Add(forge(`{"alg":"none"}`, claims(nil), nil), []byte(`{"sub":"a.b","exp":9999999999,"address":{"city":">"}}`))
	f.Add(sign(jose.RS256, rsaKey(), "x", claims(nil)), []byte(`{"sub":"\ud800","aud":["x"],"exp":9999999999}`))
	f.Add("tmk_x", []byte(`null`))
	source := openJWT(f, auth.JWTOptions{
		Cookie: "t", Query: true, Claims: map[string]string{"user": "sub", "city": "address.city"},
		WidenClaim: "w", NarrowClaim: "n", PublishClaim: "p", AnyAudience: true,
	})
	f.Fuzz(func(t *testing.T, token string, payload []byte) {
		raw := bearing(token)
		raw.Header["Cookie"] = []string{"t=" + token}
		raw.URL.RawQuery = "access_token=" + token
		for _, r := range []*http.Request{raw, bearing(token), bearing(hs256(payload))} {
			checkIdentity(t, "jwt", source.Identify, r)
			_, err := source.Identify(r)
			checkRefusal(t, err)
		}
	})
}

// FuzzJWKSet checks that a published set is either rejected or does not verify tokens of other signers.
func FuzzJWKSet(f *testing.F) {
	f.Add([]byte(jwks(f, jwk("a", rsaKey()), jwk("b", p256()), jwk("c", edKey()))))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA","alg":"none"},{"kty":"AKP"},{},null,1]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"","e":"","kid":1}],"keys":{}}`))
	name := file(f, "")
	tokens := []string{hs256(claims(nil)), sign(jose.RS256, otherRSA(), "a", claims(nil)), sign(jose.ES384, p384(), "", claims(nil))}
	f.Fuzz(func(t *testing.T, set []byte) {
		if err := os.WriteFile(name, set, 0o600); err != nil {
			t.Fatal(err)
		}
		source, err := auth.JWT(auth.JWTOptions{JWKSFile: name})
		if err != nil {
			return
		}
		for _, token := range tokens {
			if _, err := source.Identify(bearing(token)); status(err) != http.StatusUnauthorized {
				t.Errorf("%s: %v", set, err)
			}
		}
	})
}
