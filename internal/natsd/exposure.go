package natsd

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

// listener is a port of a server, with its authentication.
type listener struct {
	name   string // in the file
	remedy string
	host   string
	port   int
	login  bool // with a secret
	tls    *tls.Config
}

// exposed reports whether other machines reach the listener.
func (l listener) exposed() bool {
	if l.port == 0 {
		return false
	}
	addr, err := netip.ParseAddr(l.host)
	return l.host != "localhost" && (err != nil || !addr.IsLoopback())
}

func (l listener) addr() string { return net.JoinHostPort(l.host, strconv.Itoa(max(l.port, 0))) }

// protected reports whether a client needs a secret or a certificate.
func (l listener) protected() bool {
	return l.login || l.tls != nil && l.tls.ClientAuth == tls.RequireAndVerifyClientCert
}

func listeners(so *resolved) []listener {
	ws, mqtt, leaf, cluster, gateway := so.Websocket, so.MQTT, so.LeafNode, so.Cluster, so.Gateway
	const users = "add users with passwords to it or to nats.embedded.users"
	const routes = "add authorization with a password or tls with verify to "
	return []listener{
		{"the server", users, so.Host, so.Port, serverSecret(so), so.TLSConfig},
		{"websocket", users, ws.Host, ws.Port, overrideSecret(so, credentials{user: ws.Username, password: ws.Password, token: ws.Token, byCertificate: ws.TLSMap}, ws.NoAuthUser), ws.TLSConfig},
		{"mqtt", users, mqtt.Host, mqtt.Port, overrideSecret(so, credentials{user: mqtt.Username, password: mqtt.Password, token: mqtt.Token, byCertificate: mqtt.TLSMap}, mqtt.NoAuthUser), mqtt.TLSConfig},
		{"leafnodes", "add authorization with a password to leafnodes", leaf.Host, leaf.Port, leafSecret(so), leaf.TLSConfig},
		{"cluster", routes + "cluster", cluster.Host, cluster.Port, credentials{user: cluster.Username, password: cluster.Password}.haveSecret(), cluster.TLSConfig},
		{"gateway", routes + "gateway", gateway.Host, gateway.Port, credentials{user: gateway.Username, password: gateway.Password}.haveSecret(), gateway.TLSConfig},
	}
}

// onlySystemAccount reports whether the file has only users of the system account. Then nats-server accepts
// all clients without a login, as users of the global account.
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

// checkExposure rejects listeners of a file that other machines reach without a login. Without a file, the
// caller is responsible for the address.
func (o Options) checkExposure(so *resolved) error {
	if o.Insecure || o.ConfigFile == "" {
		return nil
	}
	for _, l := range listeners(so) {
		if !l.exposed() || l.protected() {
			continue
		}
		key := "nats.embedded.config"
		if l.name == "the server" && o.Addr != "" {
			key = keyAddr
		}
		return fmt.Errorf("%s: %s can be reached from other machines, but %s has no login with a secret for it (%s); %s, keep it on loopback, or start with --insecure",
			key, l.addr(), so.file.name, l.name, l.remedy)
	}
	return nil
}

// logExposure warns about data that other machines can read. This is not an error.
func (o Options) logExposure(so *resolved, log *slog.Logger) {
	for _, l := range listeners(so) {
		if l.exposed() && l.login && l.tls == nil && l.name != "cluster" && l.name != "gateway" && !operatorMode(so.Options) {
			log.Warn("nats-server: listener has a login and no tls; passwords can be read on the network", "listener", l.name, "addr", l.addr(), "remedy", "add tls to nats.embedded.config")
		}
	}
	host := so.HTTPHost
	if host == "" {
		host = so.Host
	}
	for _, l := range []listener{{name: "http", host: host, port: so.HTTPPort}, {name: "https", host: host, port: so.HTTPSPort}, {name: "prof_port", host: so.Host, port: so.ProfPort}} {
		if l.exposed() {
			log.Warn("nats-server: monitoring has no login; other machines can reach it", "directive", l.name, "addr", l.addr(), "remedy", "keep it on loopback")
		}
	}
}
