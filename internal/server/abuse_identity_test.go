package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidemark/tidemark/internal/subject"
)

// injections are values that must never become a part of a subject unencoded.
var injections = []struct{ name, value string }{
	{"star", "*"}, {"all", ">"}, {"dot", "alice.x"}, {"dots", ".."}, {"leading dot", ".alice"}, {"trailing dot", "alice."},
	{"star within", "al*ce"}, {"template", "{user}.>"}, {"space", "alice x"}, {"tab", "alice\tx"},
	{"line separator", "alice\u2028"}, {"no-break space", "alice\u00a0"}, {"byte order mark", "\ufeffalice"}, {"next line", "alice\u0085"},
	{"over-long", strings.Repeat("a", 256)},
}

// encoded returns the token of a value: it is its own and not part of another user's subject. A refused value has
// no token.
func encoded(value string) (token string, want []int) {
	token, err := subject.Encode(value)
	if err != nil {
		return "", bad
	}
	return token, streams
}

// home returns the subject that a city adds.
func home(value string) (gets []string, want []int) {
	token, want := encoded(value)
	if token != "" {
		gets = []string{"notifications.home." + token}
	}
	return gets, want
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// tokenAttacks have tokens that are not valid, or valid and not sufficient.
func (g *target) tokenAttacks(t *testing.T) (out []attack) {
	add := func(name, token string, want []int) {
		out = append(out, attack{name: "token " + name, path: "/events", header: bearer(g.secret(token)), want: want})
	}
	for _, in := range injections {
		user, want := encoded(in.value)
		out = append(out, attack{name: "token user " + in.name, path: "/events", header: bearer(g.secret(token(claims{"sub": in.value}))), want: want, as: user})
		if in.name != "over-long" {
			gets, want := home(in.value)
			out = append(out, attack{name: "token city " + in.name, path: "/events", header: bearer(g.secret(token(claims{"address": claims{"city": in.value}}))), want: want, as: "mallory", gets: gets})
		}
	}
	good := token(nil)
	parts := strings.Split(good, ".")
	alice := b64(payload(claims{"sub": "alice"}))
	now := time.Now()
	for _, c := range []struct{ name, token string }{
		{"alg none", b64([]byte(`{"alg":"none"}`)) + "." + alice + "."},
		{"alg None", b64([]byte(`{"alg":"None"}`)) + "." + alice + "."},
		{"alg none with a signature", b64([]byte(`{"alg":"none"}`)) + "." + alice + "." + parts[2]},
		{"alg empty", b64([]byte(`{"alg":""}`)) + "." + alice + "."},
		{"no alg", b64([]byte(`{}`)) + "." + alice + "." + parts[2]},
		{"public key as secret", confused(`{"alg":"HS256","typ":"JWT"}`, publicPEM())},
		{"public key as secret, trimmed", confused(`{"alg":"HS256"}`, []byte(strings.TrimSpace(string(publicPEM()))))},
		{"empty secret", confused(`{"alg":"HS256"}`, nil)},
		{"HS512 named, RS256 signed", signed(`{"alg":"HS512"}`, payload(claims{"sub": "alice"}), issuerKey())},
		{"another key", signed(`{"alg":"RS256"}`, payload(claims{"sub": "alice"}), evilKey())},
		{"another key in the header", signed(fmt.Sprintf(`{"alg":"RS256","jwk":{"kty":"RSA","e":"AQAB","n":%q}}`, b64(evilKey().N.Bytes())), payload(claims{"sub": "alice"}), evilKey())},
		{"key by URL", signed(`{"alg":"RS256","jku":"http://127.0.0.1:1/jwks.json"}`, payload(claims{"sub": "alice"}), evilKey())},
		{"key id is a path", signed(`{"alg":"RS256","kid":"../../../../dev/null"}`, payload(claims{"sub": "alice"}), evilKey())},
		{"critical extension", signed(`{"alg":"RS256","crit":["b64"],"b64":false}`, payload(nil), issuerKey())},
		{"of another type", signed(`{"alg":"RS256","typ":"logout+jwt"}`, payload(nil), issuerKey())},
		{"payload changed", parts[0] + "." + alice + "." + parts[2]},
		{"signature changed", parts[0] + "." + parts[1] + "." + b64([]byte(strings.Repeat("x", 256)))},
		{"signature cut", good[:len(good)-8]},
		{"without a signature", parts[0] + "." + parts[1] + "."},
		{"two parts", parts[0] + "." + parts[1]}, {"four parts", good + "." + parts[2]}, {"five parts", good + ".a.b"},
		{"garbage", "garbage.garbage.garbage"}, {"dots", ".."}, {"JSON", `{"payload":"e30","signatures":[]}`},
		{"huge", parts[0] + "." + strings.Repeat("A", 9000) + "." + parts[2]},
		{"expired", token(claims{"exp": now.Add(-time.Hour).Unix()})},
		{"not yet valid", token(claims{"nbf": now.Add(time.Hour).Unix()})},
		{"issued in the future", token(claims{"iat": now.Add(time.Hour).Unix()})},
		{"without exp", token(claims{"exp": nil})},
		{"exp as text", token(claims{"exp": "9999999999"})},
		{"another issuer", token(claims{"iss": "https://evil.example"})},
		{"issuer with a slash", token(claims{"iss": issuerName + "/"})},
		{"without issuer", token(claims{"iss": nil})},
		{"another audience", token(claims{"aud": "shop"})},
		{"other audiences", token(claims{"aud": []string{"shop", "Tidemark"}})},
		{"without audience", token(claims{"aud": nil})},
		{"without a user", token(claims{"sub": nil})},
		{"empty user", token(claims{"sub": ""})},
		{"two users", signed(`{"alg":"RS256"}`, []byte(`{"sub":"mallory","sub":"alice",`+string(payload(nil))[1:]), issuerKey())},
		{"user not UTF-8", signed(`{"alg":"RS256"}`, []byte("{\"sub\":\"alice\xff\","+strings.Replace(string(payload(claims{"sub": nil})), "{", "", 1)), issuerKey())},
		{"null for claims", signed(`{"alg":"RS256"}`, []byte(`null`), issuerKey())},
		{"a list for claims", signed(`{"alg":"RS256"}`, []byte(`[]`), issuerKey())},
	} {
		add(c.name, c.token, unknown)
	}
	add("user is a list", token(claims{"sub": []string{"alice"}}), bad)
	add("user is an object", token(claims{"sub": claims{"x": "alice"}}), bad)
	add("user is half a pair", signed(`{"alg":"RS256"}`, []byte(`{"sub":"alice\ud800",`+strings.Replace(string(payload(claims{"sub": nil})), "{", "", 1)), issuerKey()), bad)
	return append(out,
		attack{name: "token twice", path: "/events", header: append(bearer(good), bearer(good)...), want: bad},
		attack{name: "two tokens in one header", path: "/events", header: bearer(good + ", Bearer " + token(claims{"sub": "alice"})), want: unknown},
		attack{name: "bearer of nothing", path: "/events", header: bearer(""), want: bad},
		attack{name: "folded token", raw: "GET /events HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer\r\n " + token(claims{"sub": "alice", "exp": 1}) + "\r\n\r\n", want: unknown},
		attack{name: "token in a disabled query", path: "/events?access_token=" + g.secret(token(claims{"sub": "alice"})), want: streams},
		attack{name: "token in a disabled cookie", path: "/events", header: []string{"Cookie", "tide=" + token(claims{"sub": "alice"}) + "; access_token=" + good}, want: streams},
		attack{name: "token as basic", path: "/events", header: []string{"Authorization", "Basic " + token(claims{"sub": "alice"})}, want: streams},
		attack{name: "token in another header", path: "/events", header: []string{"X-Authorization", "Bearer " + token(claims{"sub": "alice"}), "Proxy-Authorization", "Bearer " + good}, want: streams},
		attack{name: "API key reads nothing", path: "/events?subject=notifications.user.alice", header: []string{"X-API-Key", "tmk_" + strings.Repeat("x", 43)}, want: forbidden},
		attack{name: "dev user where there is none", path: "/events?user=alice", want: streams},
		attack{name: "token of mallory beside a header of alice", path: "/events", from: gateway, header: append(bearer(token(nil)), "X-User", "alice"), as: "mallory", want: streams},
	)
}

// headerAttacks forge the headers of a gateway.
func headerAttacks() (out []attack) {
	add := func(name, from string, want []int, as string, header ...string) {
		out = append(out, attack{name: "header " + name, path: "/events", from: from, header: header, want: want, as: as})
	}
	for _, in := range injections {
		user, want := encoded(in.value)
		add("user "+in.name, gateway, want, user, "X-User", in.value)
		gets, want := home(in.value)
		add("city "+in.name, gateway, want, "mallory", "X-User", "mallory", "X-City", in.value)
		out[len(out)-1].gets = gets
	}
	add("not UTF-8", gateway, bad, "", "X-User", "alice\xff")
	add("twice", gateway, bad, "", "X-User", "mallory", "x-user", "alice")
	add("city twice", gateway, bad, "", "X-User", "mallory", "X-City", "rome", "X-City", "alicetown")
	add("folded", gateway, streams, "mallory%20alice", "X-User", "mallory\r\n alice") // one value, which names no existing user
	add("city alone", gateway, streams, "", "X-City", "alicetown")
	add("underscore", gateway, streams, "", "X_User", "alice")
	// From other addresses the headers are ignored.
	add("forged", "", streams, "", "X-User", "alice")
	add("forged city", "", streams, "", "X-User", "alice", "X-City", "alicetown")
	add("forged address", "", streams, "", "X-User", "alice", "X-Forwarded-For", gateway)
	add("forged addresses", "", streams, "", "X-User", "alice", "X-Forwarded-For", gateway+", "+gateway, "X-Real-IP", gateway)
	add("forged Forwarded", "", streams, "", "X-User", "alice", "Forwarded", "for="+gateway+";by="+gateway)
	add("forged from another loopback address", "127.0.0.3", streams, "", "X-User", "alice")
	add("forged by Connection", gateway, streams, "mallory", "X-User", "mallory", "Connection", "X-User")
	return append(out,
		attack{name: "header forged, asking", path: "/events?subject=notifications.user.alice", header: []string{"X-User", "alice"}, want: forbidden},
		attack{name: "header forged, a bad value", path: "/events", header: []string{"X-User", "*"}, want: streams},
		attack{name: "header forged, resuming", path: "/events", header: []string{"X-User", "alice", "Last-Event-ID", "0"}, want: streams},
	)
}

// grantAttacks try to get more from a valid token than it grants.
func (g *target) grantAttacks() (out []attack) {
	add := func(name string, c claims, query string, want []int) {
		out = append(out, attack{name: "grant " + name, path: "/events" + query, header: bearer(g.secret(token(c))), want: want, as: "mallory"})
	}
	add("alice's subject", nil, "?subject=notifications.user.alice", forbidden)
	add("alice's home", claims{"address": claims{"city": "rome"}}, "?subject=notifications.home.alicetown", forbidden)
	add("all homes", claims{"address": claims{"city": "rome"}}, "?subject=notifications.home.*", forbidden)
	add("beyond what it widens to", claims{"read": "notifications.home.rome"}, "?subject=notifications.home.*", forbidden)
	add("beside what it widens to", claims{"read": []string{"notifications.home.rome"}}, "?subject=notifications.home.alicetown", forbidden)
	add("what it narrows from", claims{"only": []string{"notifications.topic.>"}}, "", forbidden)
	add("all taken", claims{"only": []string{}}, "?subject=notifications.city.paris", forbidden)
	add("requested but not in the narrow claim", claims{"only": "notifications.topic.>"}, "?subject=notifications.city.paris&only=1", forbidden)
	add("narrowed away though widened", claims{"only": "notifications.topic.>", "read": "notifications.user.alice"}, "?subject=notifications.user.alice&only=1", forbidden)
	add("narrow null", claims{"only": nil, "read": 7}, "", unknown)
	add("narrow by a number", claims{"only": 7}, "", unknown)
	add("narrow by rubbish", claims{"only": []string{"a..b"}}, "", unknown)
	add("narrow by too much", claims{"only": strings.Split(strings.Repeat("a ", 64)+"a", " ")}, "", unknown)
	add("widen by rubbish", claims{"read": []any{"notifications.>.x"}}, "", unknown)
	add("widen by a space", claims{"read": "notifications.> "}, "", unknown)
	add("widen by an object", claims{"read": claims{">": true}}, "", unknown)
	add("claims by other names", claims{"Read": ">", "READ": ">", "widen": ">", "scope": ">"}, "", streams)
	add("narrowing to everything widens nothing", claims{"only": ">"}, "", streams)
	add("a good one", claims{"read": "notifications.home.rome"}, "", streams)
	out = append(out,
		attack{name: "grant narrowed to alice", path: "/events", header: bearer(token(claims{"only": []string{"notifications.user.*", "notifications.broadcast"}})), as: "mallory", want: streams},
		attack{name: "grant narrowed within a wildcard", path: "/events?subject=notifications.city.*", header: bearer(token(claims{"only": []string{"notifications.city.paris"}})), without: true, gets: []string{"notifications.city.paris"}, want: streams},
	)
	return out
}

// doorAttacks send tokens in several places.
func (g *target) doorAttacks() (out []attack) {
	mine, alices := g.secret(token(nil)), g.secret(token(claims{"sub": "alice", "exp": time.Now().Add(-time.Hour).Unix()}))
	add := func(name, query string, want []int, header ...string) {
		out = append(out, attack{name: "door " + name, path: "/events" + query, header: header, want: want, as: "mallory"})
	}
	add("no identity", "", unknown)
	add("header and query differ", "?access_token="+alices, bad, bearer(mine)...)
	add("header and cookie differ", "", bad, append(bearer(mine), "Cookie", "tide="+alices)...)
	add("cookie and query differ", "?access_token="+alices, bad, "Cookie", "tide="+mine)
	add("two cookies differ", "", bad, "Cookie", "tide="+mine+"; tide="+alices)
	add("two cookie headers differ", "", bad, "Cookie", "tide="+mine, "Cookie", "tide="+alices)
	add("two queries differ", "?access_token="+mine+"&access_token="+alices, bad)
	add("expired in the query", "?access_token="+alices, unknown)
	add("expired in the cookie", "", unknown, "Cookie", "tide="+alices)
	add("garbage in the cookie", "", unknown, "Cookie", "tide=%00%0d%0a")
	add("a query that cannot be read", "?access_token="+mine+"&x=%zz", bad)
	add("a query with semicolons", "?access_token="+mine+";access_token="+alices, bad)
	add("escaped name", "?access%5ftoken="+alices, unknown)
	add("another cookie", "", unknown, "Cookie", "Tide="+mine)
	add("a header that counts for nothing", "", unknown, "X-User", "alice")
	add("dev user", "?user=alice", unknown)
	add("an API key", "", unknown, "X-API-Key", "tmk_x")
	add("an API key as bearer", "", unknown, "Authorization", "Bearer tmk_"+strings.Repeat("x", 43))
	add("the same thrice", "?access_token="+mine, streams, append(bearer(mine), "Cookie", "tide="+mine)...)
	out = append(out,
		attack{name: "door with head", method: http.MethodHead, path: "/events", want: unknown},
		attack{name: "door with a page before", raw: "GET /healthz HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer " + mine + "\r\n\r\nGET /events HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", want: streams, more: unknown},
		attack{name: "door publishing with a read-only token", method: http.MethodPost, path: "/publish", header: bearer(mine), body: broadcastX, want: forbidden},
		attack{name: "door publishing with a token in the query", method: http.MethodPost, path: "/publish?access_token=" + alices, body: broadcastX, want: unknown},
	)
	return out
}

// revokedAttacks use revoked tokens.
func (g *target) revokedAttacks(t *testing.T) []attack {
	t.Helper()
	live := g.listenWith("/events", bearer(token(claims{"sub": "dave", "iat": time.Now().Unix()}))...)
	live.want("tidemark.open")
	for _, text := range []string{`{"user":"dave"}`, `{"token":"stolen"}`, `rubbish`, `{}`} {
		if err := g.nc.PublishMsg(&nats.Msg{Subject: "tidemark.revoke", Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	if ev := live.next(); ev.Type != "tidemark.close" || field(ev.Data, "reason") != "revoked" {
		t.Errorf("a revoked connection received %s %s", ev.Type, ev.Data)
	}
	dave := g.secret(token(claims{"sub": "dave", "iat": time.Now().Add(-time.Minute).Unix()}))
	stolen := g.secret(token(claims{"jti": "stolen", "publish": ">"}))
	return []attack{
		{name: "revoked user", path: "/events", header: bearer(dave), want: unknown},
		{name: "revoked user in the query", path: "/events?access_token=" + dave, want: unknown},
		{name: "revoked user, resuming", path: "/events", header: append(bearer(dave), "Last-Event-ID", "1"), want: unknown},
		{name: "revoked user without iat", path: "/events", header: bearer(token(claims{"sub": "dave"})), want: unknown},
		{name: "revoked token", path: "/events", header: bearer(stolen), want: unknown},
		{name: "revoked token publishing", method: http.MethodPost, path: "/publish", header: bearer(stolen), body: broadcastX, want: unknown},
	}
}

// devAttacks try the user of the query.
func devAttacks() (out []attack) {
	for _, in := range injections {
		var escaped strings.Builder
		for _, b := range []byte(in.value) {
			fmt.Fprintf(&escaped, "%%%02x", b)
		}
		user, want := encoded(in.value)
		out = append(out, attack{name: "dev " + in.name, path: "/events?user=" + escaped.String(), want: want, as: user})
	}
	for value, user := range map[string]string{"alice%00": "alice%00", "alice%0d%0aX-User:%20x": "alice%0D%0AX-User:%20x", "%1b": "%1B", "alic%2565": "alic%2565"} {
		out = append(out, attack{name: "dev " + value, path: "/events?user=" + value, want: streams, as: user})
	}
	for _, value := range []string{"%c0%ae", "alice%ff"} {
		out = append(out, attack{name: "dev " + value, path: "/events?user=" + value, want: bad})
	}
	for _, header := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-IP", "Via"} {
		out = append(out, attack{name: "dev through a proxy with " + header, path: "/events?user=alice", header: []string{header, "127.0.0.1"}, want: forbidden})
	}
	return append(out,
		attack{name: "dev twice", path: "/events?user=mallory&user=alice", want: bad},
		attack{name: "dev through a proxy with an empty header", path: "/events?user=alice", header: []string{"X-Forwarded-For", ""}, want: forbidden},
		attack{name: "dev by an escaped name through a proxy", path: "/events?%75ser=alice", header: []string{"Via", "x"}, want: append(streams, 403)},
		attack{name: "dev by a header", path: "/events", header: []string{"X-User", "alice"}, want: streams},
		attack{name: "dev empty", path: "/events?user=", want: streams},
		attack{name: "dev lookalike", path: "/events?user=\u0430lice", as: "\u0430lice", want: append(streams, 400)},
		attack{name: "dev in another case", path: "/events?user=Alice", as: "Alice", want: streams},
		attack{name: "dev by another name", path: "/events?User=alice", want: streams},
	)
}
