package natsd

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

// listener is one of the ports of a server, with what lets clients in.
type listener struct {
	name   string // as the file has it
	remedy string
	host   string
	port   int
	login  bool
	tls    *tls.Config
}

// exposed reports whether other machines reach it.
func (l listener) exposed() bool {
	if l.port == 0 {
		return false
	}
	addr, err := netip.ParseAddr(l.host)
	return l.host != "localhost" && (err != nil || !addr.IsLoopback())
}

func (l listener) addr() string { return net.JoinHostPort(l.host, strconv.Itoa(max(l.port, 0))) }

// guarded reports whether a client needs a login or a certificate.
func (l listener) guarded() bool {
	return l.login || l.tls != nil && l.tls.ClientAuth == tls.RequireAndVerifyClientCert
}

func listeners(so *resolved) []listener {
	login := needsLogin(so)
	ws, mqtt, leaf := so.Websocket, so.MQTT, so.LeafNode
	const users = "add users to it or to nats.embedded.users"
	return []listener{
		{"the server", users, so.Host, so.Port, login, so.TLSConfig},
		{"websocket", users, ws.Host, ws.Port, ws.NoAuthUser == "" && (login || ws.Username != "" || ws.Token != ""), ws.TLSConfig},
		{"mqtt", users, mqtt.Host, mqtt.Port, mqtt.NoAuthUser == "" && (login || mqtt.Username != "" || mqtt.Token != ""), mqtt.TLSConfig},
		{"leafnodes", "add authorization to leafnodes", leaf.Host, leaf.Port, login || leaf.Username != "" || leaf.Nkey != "" || len(leaf.Users) > 0, leaf.TLSConfig},
		{"cluster", "add authorization or tls with verify to cluster", so.Cluster.Host, so.Cluster.Port, so.Cluster.Username != "", so.Cluster.TLSConfig},
		{"gateway", "add authorization or tls with verify to gateway", so.Gateway.Host, so.Gateway.Port, so.Gateway.Username != "", so.Gateway.TLSConfig},
	}
}

// needsLogin reports whether a client that names no user and has no password is refused.
func needsLogin(so *resolved) bool {
	if operatorMode(so.Options) {
		return true
	}
	if so.NoAuthUser != "" || onlySystemAccount(so) {
		return false
	}
	open := slices.ContainsFunc(so.Users, func(u *server.User) bool { return u.Password == "" && !so.TLSMap })
	return hasLogins(so.Options) && !open
}

// onlySystemAccount reports whether the file has users of the system account alone. nats-server then
// lets in all clients without a login, as users of the global account.
func onlySystemAccount(so *resolved) bool {
	if so.authBlock {
		return false
	}
	system := cmp.Or(so.SystemAccount, server.DEFAULT_SYSTEM_ACCOUNT)
	found := false
	for _, a := range so.Accounts {
		if a.Name != system && a.Name != server.DEFAULT_GLOBAL_ACCOUNT {
			return false
		}
		found = found || a.Name == system
	}
	return found
}

// checkReach refuses listeners of a file that other machines reach without a login. Without a file
// the address is the caller's decision.
func (o Options) checkReach(so *resolved) error {
	if o.Insecure || o.ConfigFile == "" {
		return nil
	}
	for _, l := range listeners(so) {
		if !l.exposed() || l.guarded() {
			continue
		}
		key := "nats.embedded.config"
		if l.name == "the server" && o.Addr != "" {
			key = keyAddr
		}
		return fmt.Errorf("%s: %s can be reached from other machines, and %s has no login for it (%s); %s, keep it on loopback, or start with --insecure",
			key, l.addr(), so.file.name, l.name, l.remedy)
	}
	return nil
}

// logReach warns of what other machines can read, which is not refused.
func (o Options) logReach(so *resolved, log *slog.Logger) {
	for _, l := range listeners(so) {
		if l.exposed() && l.login && l.tls == nil && l.name != "cluster" && l.name != "gateway" && !operatorMode(so.Options) {
			log.Warn("passwords can be read on the network: the embedded server has a login and no TLS; add tls to nats.embedded.config", "listener", l.name, "addr", l.addr())
		}
	}
	host := so.HTTPHost
	if host == "" {
		host = so.Host
	}
	for _, l := range []listener{{name: "http", host: host, port: so.HTTPPort}, {name: "https", host: host, port: so.HTTPSPort}, {name: "prof_port", host: so.Host, port: so.ProfPort}} {
		if l.exposed() {
			log.Warn("monitoring of the embedded server has no login and can be reached from other machines; keep it on loopback", "directive", l.name, "addr", l.addr())
		}
	}
}
