package natsd

import (
	"slices"

	"github.com/nats-io/nats-server/v2/server"
)

// credentials are what one listener accepts, as nats-server compares them.
type credentials struct {
	user, password string
	token          string
	nkey           string
	users          []*server.User
	// byCertificate is for users that a client certificate names: they need no password.
	byCertificate bool
}

// open reports whether a client that knows the names of all users, and no secret, is let in. nats-server
// takes a user without a password as a login.
func (c credentials) open() bool {
	withoutPassword := func(u *server.User) bool { return u.Password == "" }
	return c.user != "" && c.password == "" || !c.byCertificate && slices.ContainsFunc(c.users, withoutPassword)
}

// haveSecret reports whether there are credentials, and all of them need a secret.
func (c credentials) haveSecret() bool {
	return !c.open() && (c.user != "" || c.token != "" || c.nkey != "" || len(c.users) > 0)
}

// serverSecret is of the users of the server, which count for websocket, mqtt and leafnodes too.
func serverSecret(so *resolved) bool {
	if operatorMode(so.Options) {
		return true
	}
	if so.NoAuthUser != "" || onlySystemAccount(so) || !hasLogins(so.Options) {
		return false
	}
	return !credentials{user: so.Username, password: so.Password, users: so.Users, byCertificate: so.TLSMap}.open()
}

// overrideSecret is of websocket and mqtt. A login of their own replaces the one of the server, whose
// users count besides it.
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

// leafSecret is of leafnodes, where a login of their own replaces those of the server.
func leafSecret(so *resolved) bool {
	l := so.LeafNode
	own := credentials{user: l.Username, password: l.Password, nkey: l.Nkey, users: l.Users, byCertificate: l.TLSMap}
	if l.Username == "" && l.Nkey == "" && len(l.Users) == 0 {
		return serverSecret(so)
	}
	return own.haveSecret()
}
