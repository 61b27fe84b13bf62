package natsd

import (
	"slices"

	"github.com/nats-io/nats-server/v2/server"
)

// credentials contains the credentials accepted by a listener, by the rules of nats-server.
type credentials struct {
	user, password string
	token          string
	nkey           string
	users          []*server.User
	// byCertificate means that client certificates identify the users, who need no password.
	byCertificate bool
}

// open reports whether the listener accepts a client with the names of all users but without a secret.
// nats-server accepts a user without a password as a login.
func (c credentials) open() bool {
	withoutPassword := func(u *server.User) bool { return u.Password == "" }
	return c.user != "" && c.password == "" || !c.byCertificate && slices.ContainsFunc(c.users, withoutPassword)
}

// haveSecret reports whether there are credentials, and all of them need a secret.
func (c credentials) haveSecret() bool {
	return !c.open() && (c.user != "" || c.token != "" || c.nkey != "" || len(c.users) > 0)
}

// serverSecret reports whether all users of the server need a secret. They also apply to websocket, mqtt
// and leafnodes.
func serverSecret(so *resolved) bool {
	if operatorMode(so.Options) {
		return true
	}
	if so.NoAuthUser != "" || onlySystemAccount(so) || !hasLogins(so.Options) {
		return false
	}
	return !credentials{user: so.Username, password: so.Password, users: so.Users, byCertificate: so.TLSMap}.open()
}

// overrideSecret is the same for websocket and mqtt. Their own login replaces the login of the server, but
// not its users.
func overrideSecret(so *resolved, own credentials, noAuthUser string) bool {
	if noAuthUser != "" {
		return false
	}
	if own.user == "" && own.token == "" {
		return serverSecret(so)
	}
	own.users = so.Users
	return own.haveSecret()
}

// leafSecret is the same for leafnodes. Their own login replaces the logins of the server.
func leafSecret(so *resolved) bool {
	l := so.LeafNode
	own := credentials{user: l.Username, password: l.Password, nkey: l.Nkey, users: l.Users, byCertificate: l.TLSMap}
	if l.Username == "" && l.Nkey == "" && len(l.Users) == 0 {
		return serverSecret(so)
	}
	return own.haveSecret()
}
