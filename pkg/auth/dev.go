package auth

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Dev reads the user from a query parameter, for development. It accepts requests of this machine only.
//
// Both ends of the connection must be loopback addresses, the request must have no proxy headers, and
// Host must be localhost or a loopback address. The last condition rejects web pages after DNS
// rebinding. Other requests with the parameter are rejected with 403.
//
// Do not use Dev behind a proxy on the same machine if that proxy adds no headers: then every client can
// select any user.
func Dev(param string) Source {
	return func(r *http.Request) (Identity, error) {
		user, n := parameter(r.URL.RawQuery, param)
		if n == 0 {
			return Identity{}, ErrNoIdentity
		}
		if !onLoopback(r) {
			return Identity{}, &Error{Status: http.StatusForbidden, Detail: "?" + param + "= is accepted only from this machine, through localhost; configure identities for other clients (auth.identity: jwt or header)"}
		}
		if n > 1 {
			return Identity{}, badRequest("?%s= occurs %d times; send it once", param, n)
		}
		return single(KindDev, user, "?"+param+"=")
	}
}

// parameter returns the first value of a query parameter and the number of its values. It follows the
// rules of url.ParseQuery, without a map of the other parameters.
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

// LoopbackOnly accepts requests of this machine, with the rights to publish and to read presence.
// It rejects all other requests, by the rules of Dev.
func LoopbackOnly() Source {
	return func(r *http.Request) (Identity, error) {
		if !onLoopback(r) {
			return Identity{}, &Error{Status: http.StatusForbidden, Detail: "only requests of this machine, as localhost, are accepted without keys; set publish.keys to accept others"}
		}
		return Identity{Kind: KindDev, Publish: []string{">"}, Presence: true}, nil
	}
}

// single returns the identity of a user.
func single(kind Kind, user, where string) (Identity, error) {
	vars := make(map[string]string, 1)
	if err := setVar(vars, "user", user, where); err != nil {
		return Identity{}, err
	}
	if len(vars) == 0 {
		return Identity{}, ErrNoIdentity
	}
	return Identity{Vars: vars, Kind: kind}, nil
}

// proxyHeaders are set by proxies, load balancers and tunnels. A proxy that sets none of them cannot be
// distinguished from a client of this machine. The spelling is that of net/http.
var proxyHeaders = withUnderscores(
	"Forwarded", "Via", "Cdn-Loop",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Original-Forwarded-For",
	"X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip",
	"Cf-Connecting-Ip", "Fly-Client-Ip", "X-Envoy-External-Address",
)

// withUnderscores adds the spellings with underscores, as sent by programs behind CGI-like interfaces.
// net/http converts X_Forwarded_For to X_forwarded_for.
func withUnderscores(names ...string) []string {
	all := slices.Clone(names)
	for _, name := range names {
		if spelled := http.CanonicalHeaderKey(strings.ReplaceAll(name, "-", "_")); spelled != name {
			all = append(all, spelled)
		}
	}
	return all
}

// FromLoopback reports whether a request comes from this machine, by the rules of Dev.
func FromLoopback(r *http.Request) bool { return onLoopback(r) }

func onLoopback(r *http.Request) bool {
	for _, h := range proxyHeaders {
		if len(r.Header[h]) > 0 {
			return false
		}
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return isLocalHost(r.Host) && local != nil && local.IP.IsLoopback() && PeerAddr(r).IsLoopback()
}

// isLocalHost reports whether a Host, with or without a port, is localhost or a loopback address.
func isLocalHost(host string) bool {
	name, _, _ := strings.Cut(host, ":")
	return strings.EqualFold(name, "localhost") || parseAddr(host).IsLoopback()
}
