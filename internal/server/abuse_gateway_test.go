package server_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/pkg/auth"
)

// addressProxy is in http.trusted_proxies and not in auth.header.trusted.
const addressProxy = "127.0.0.4"

// kin are headers with the user of other programs, and spellings that some programs fold into X-User. None of them
// is auth.header.user.
var kin = []string{
	"X-User-Id", "X-User-Name", "X-Username", "X-User-Email", "X-Remote-User", "Remote-User", "Remote-Email", "X-Email",
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Auth-Request-User", "X-Auth-Request-Email",
	"X-Auth-User", "X-Authenticated-User", "X-WEBAUTH-USER", "User", "X.User", "XUser", "X--User", "X-User-", "HTTP_X_USER", "X_User", "x_user", "X_USER",
}

// kinAttacks send almost the header, from the gateway and from elsewhere.
func kinAttacks() (out []attack) {
	for _, header := range kin {
		out = append(out,
			attack{name: "kin " + header, path: "/events", header: []string{header, "alice"}, want: streams},
			attack{name: "kin through the gateway " + header, path: "/events", from: gateway, header: []string{header, "alice"}, want: streams},
			attack{name: "kin beside the user " + header, path: "/events", from: gateway, header: []string{"X-User", "mallory", header, "alice"}, want: streams, as: "mallory"},
		)
	}
	return append(out,
		attack{name: "header of a proxy that is trusted for addresses alone", path: "/events", from: addressProxy, header: []string{"X-User", "alice"}, want: streams},
		attack{name: "header of such a proxy, asking", path: "/events?subject=notifications.user.alice", from: addressProxy, header: []string{"X-User", "alice"}, want: forbidden},
		attack{name: "header of such a proxy that names the gateway", path: "/events", from: addressProxy, header: []string{"X-User", "alice", "X-Forwarded-For", gateway}, want: streams},
		attack{name: "header with a space before the colon", raw: "GET /events HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nX-User : alice\r\n\r\n", want: bad, plain: true},
		attack{name: "header with a tab before the colon", raw: "GET /events HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nX-User\t: alice\r\n\r\n", want: bad, plain: true},
		attack{name: "header in a trailer", from: gateway, method: http.MethodGet, raw: "GET /events HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nTrailer: X-User\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-User: alice\r\n\r\n", want: streams},
		attack{name: "query of the try-out", path: "/events?user=alice", from: gateway, want: streams},
	)
}

// grantsNode accepts users from a gateway, percent-encoded and with an expiry.
func grantsNode(t *testing.T) (*target, []attack) {
	g := newTarget(t, func(o *server.Options) {
		o.Dev = false
		o.Auth.Identity = []string{"header", "jwt"}
		o.Auth.JWT = issuerOptions(t)
		o.Publish.ByToken = true
		o.Auth.Header = auth.HeaderOptions{
			Expires: "X-User-Expires", PercentEncoded: true, Trusted: []netip.Prefix{netip.MustParsePrefix(gateway + "/32")},
		}
	}, "/events", "Authorization", "Bearer "+token(claims{"sub": "good"}))
	return g, append(grantEndAttacks(), percentAttacks()...)
}

// grantEndAttacks try to get a grant that does not end.
func grantEndAttacks() (out []attack) {
	later := fmt.Sprint(time.Now().Add(time.Hour).Unix())
	add := func(name string, want []int, header ...string) {
		out = append(out, attack{name: "grant end " + name, path: "/events", from: gateway, header: append([]string{"X-User", "mallory"}, header...), want: want, as: "mallory"})
	}
	for value, want := range map[string][]int{
		"": unknown, "0": unknown, "1": unknown, "1700000000": unknown, "2001-09-09T01:46:40Z": unknown,
		"-1": bad, "never": bad, "inf": bad, "NaN": bad, "1e18": bad, "0x7fffffff": bad, "9999999999999": bad, "100000000001": bad,
		"9999-12-31T23:59:59Z": bad, "2100-01-01": bad, "2100-01-01T00:00:00": bad, strings.Repeat("9", 400): bad,
		later + "," + later: bad, later + "\xff": bad, later: streams, "2100-01-01T00:00:00Z": streams,
	} {
		add(fmt.Sprintf("%.40q", value), want, "X-User-Expires", value)
	}
	add("is missing", unknown)
	add("twice", bad, "X-User-Expires", later, "x-user-expires", "1")
	add("by an underscore", unknown, "X_User_Expires", later)
	add("taken away by Connection", streams, "X-User-Expires", later, "Connection", "X-User-Expires") // this node is not a proxy
	return append(out,
		attack{name: "grant end without a user", path: "/events", from: gateway, header: []string{"X-User-Expires", later}, want: unknown},
		attack{name: "grant end from another address", path: "/events", header: []string{"X-User", "alice", "X-User-Expires", later}, want: unknown},
		attack{name: "grant end in the query", path: "/events?X-User-Expires=" + later, from: gateway, header: []string{"X-User", "mallory"}, want: unknown},
		attack{name: "grant end of a publisher", method: http.MethodPost, path: "/publish", from: gateway, header: []string{"X-User", "mallory", "X-User-Expires", later}, body: broadcastX, want: unknown},
	)
}

// percentAttacks encode the user in ways that must not reach subjects of other users.
func percentAttacks() (out []attack) {
	later := fmt.Sprint(time.Now().Add(time.Hour).Unix())
	add := func(name, value string, want []int, as string) {
		out = append(out, attack{name: "percent " + name, path: "/events", from: gateway, header: []string{"X-User", value, "X-User-Expires", later}, want: want, as: as})
	}
	for _, in := range injections {
		var escaped strings.Builder
		for _, b := range []byte(in.value) {
			fmt.Fprintf(&escaped, "%%%02x", b)
		}
		user, want := encoded(in.value)
		add(in.name, escaped.String(), want, user)
	}
	for name, value := range map[string]string{
		"half a sequence": "alice%2", "a lone sign": "alice%", "no digits": "%zzalice", "UTF-16": "%u0061lice", "over-long UTF-8": "%c1%a1lice", "not UTF-8": "alice%ff",
	} {
		add(name, value, bad, "")
	}
	add("twice", "%2561lice", streams, "%2561lice")
	add("a line break", "alice%0d%0aX-User:%20alice", streams, "alice%0D%0AX-User:%20alice")
	add("a plus", "alice+", streams, "alice+")
	add("a NUL", "alice%00", streams, "alice%00")
	return out
}
