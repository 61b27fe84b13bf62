package auth

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Dev takes the user from a query parameter, for trying things out: only when both ends of
// the connection are on this machine, no proxy shows between, and Host is localhost or a
// loopback address, which the name of a page that was rebound to this machine is not; from
// elsewhere it is 403.
// Behind a proxy of the same machine that adds no header of its own, anybody can be any user:
// leave it out.
func Dev(param string) Source {
	return func(r *http.Request) (Identity, error) {
		user, n := parameter(r.URL.RawQuery, param)
		if n == 0 {
			return Identity{}, ErrNoIdentity
		}
		if !onLoopback(r) {
			return Identity{}, &Error{Status: http.StatusForbidden, Detail: "?" + param + "= is for trying things out on the machine itself, as localhost; elsewhere users need an identity (auth.identity: jwt or header)"}
		}
		if n > 1 {
			return Identity{}, badRequest("?%s= is there %d times; send it once", param, n)
		}
		return single(KindDev, user, "?"+param+"=")
	}
}

// parameter is the first value of a query parameter and how many it has, by the rules of
// url.ParseQuery but without a map of all others.
func parameter(query, name string) (value string, n int) {
	for pair := range strings.SplitSeq(query, "&") {
		key, escaped, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(key)
		if err != nil || key != name || strings.Contains(pair, ";") {
			continue
		}
		unescaped, err := url.QueryUnescape(escaped)
		if err != nil {
			continue
		}
		if n++; n == 1 {
			value = unescaped
		}
	}
	return value, n
}

// ThisMachine lets who is on this machine publish anything and see who is connected, by the
// rules of Dev, and nobody else: not a page whose name was rebound to it, and nobody behind a proxy.
func ThisMachine() Source {
	return func(r *http.Request) (Identity, error) {
		if !onLoopback(r) {
			return Identity{}, &Error{Status: http.StatusForbidden, Detail: "without keys only this machine itself may do this, as localhost; set publish.keys to let others"}
		}
		return Identity{Kind: KindDev, Publish: []string{">"}, Presence: true}, nil
	}
}

// single makes an identity of one user.
func single(kind Kind, user, where string) (Identity, error) {
	vars := make(map[string]string, 1)
	if err := fill(vars, "user", user, where); err != nil {
		return Identity{}, err
	}
	if len(vars) == 0 {
		return Identity{}, ErrNoIdentity
	}
	return Identity{Vars: vars, Kind: kind}, nil
}

// proxyHeaders are set by proxies, load balancers and tunnels. A proxy that sets none of them cannot be
// distinguished from a client of this machine. They are spelled as net/http does.
var proxyHeaders = withUnderscores(
	"Forwarded", "Via", "Cdn-Loop",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Original-Forwarded-For",
	"X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip",
	"Cf-Connecting-Ip", "Fly-Client-Ip", "X-Envoy-External-Address",
)

// withUnderscores adds the spellings that programs behind CGI-like interfaces pass on, in the
// letters that net/http gives them: X_Forwarded_For becomes X_forwarded_for.
func withUnderscores(names ...string) []string {
	all := slices.Clone(names)
	for _, name := range names {
		if spelled := http.CanonicalHeaderKey(strings.ReplaceAll(name, "-", "_")); spelled != name {
			all = append(all, spelled)
		}
	}
	return all
}

// FromThisMachine reports whether a request comes from this machine itself, by the rules of Dev.
func FromThisMachine(r *http.Request) bool { return onLoopback(r) }

func onLoopback(r *http.Request) bool {
	for _, h := range proxyHeaders {
		if len(r.Header[h]) > 0 {
			return false
		}
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return isLocalHost(r.Host) && local != nil && local.IP.IsLoopback() && PeerAddr(r).IsLoopback()
}

// isLocalHost reads a Host, with a port or without.
func isLocalHost(host string) bool {
	name, _, _ := strings.Cut(host, ":")
	return strings.EqualFold(name, "localhost") || parseAddr(host).IsLoopback()
}
