package config

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// usersKey is the key of the users of the embedded server.
const usersKey = "nats.embedded.users"

func userKey(i int) string { return fmt.Sprintf("%s[%d]", usersKey, i) }

// validateEmbedded treats a login as that of the node only in the process of the node. A command has a login
// for the running server, such as NATS_USER.
func (n NATS) validateEmbedded(p *problems, serve bool) {
	e := n.Embedded
	if e.Addr != "" {
		checkAddr(p, "nats.embedded.addr", e.Addr)
	}
	if e.Dir == "" {
		p.add("nats.embedded.dir", "it is empty; name a directory, or set nats.url to use another server")
	}
	if e.Sync < 0 {
		p.add("nats.embedded.sync", "it must be always or a duration above zero")
	}
	switch {
	case e.Account != "" && e.Config == "":
		p.add("nats.embedded.account", "accounts are defined in nats.embedded.config; set both, or remove this")
	case serve && e.Account != "" && n.HasLogin():
		p.add("nats.embedded.account", "a login of the node (nats.credentials, nats.nkey, nats.user or nats.token) determines the account; keep one of them")
	}
	for i, u := range e.Users {
		u.validate(userKey(i), p)
		if slices.ContainsFunc(e.Users[:i], func(other EmbeddedUser) bool { return other.Name == u.Name }) {
			p.add(userKey(i)+".name", "%q is used twice", u.Name)
		}
	}
}

// maxBcryptCost is limited by the 2 s in which a client of nats-server must log in. On a busy machine of two
// cores a hash of cost 14 took 2.3 s, and one of cost 11 took 0.4 s.
const maxBcryptCost = 13

// validate does not repeat a hash, which by mistake may be the password.
func (u EmbeddedUser) validate(key string, p *problems) {
	if u.Name == "" {
		p.add(key+".name", "it is missing")
	}
	cost, err := bcryptCost(u.PasswordHash)
	switch {
	case u.PasswordHash == "":
		p.add(key+".password_hash", "it is missing; make one with `tidemark nats-password`")
	case err != nil:
		p.add(key+".password_hash", "it is not a bcrypt hash, and passwords in plain text are rejected; make one with `tidemark nats-password`")
	case cost > maxBcryptCost:
		p.add(key+".password_hash", "its cost %d takes longer than clients have to log in; make one of at most %d, such as with `tidemark nats-password`", cost, maxBcryptCost)
	}
	if len(u.Publish) == 0 && len(u.Subscribe) == 0 {
		p.add(key+".publish", "%q has no permissions; name the subjects that it may publish to, such as notifications.> (or > for all, which includes the JetStream API)", u.Name)
	}
	for _, list := range []struct {
		key      string
		subjects []string
	}{{key + ".publish", u.Publish}, {key + ".subscribe", u.Subscribe}} {
		for _, s := range list.subjects {
			if !isFilter(s) {
				p.add(list.key, "%q is not a subject; write tokens with dots between them, * for any one token, > at the end for the rest", s)
			}
		}
	}
}

// bcryptCost is stricter than its package, because nats-server treats a hash with another prefix as a
// password in plain text.
func bcryptCost(hash string) (int, error) {
	if len(hash) < 3 || !slices.Contains([]string{"$2a", "$2b", "$2x", "$2y"}, hash[:3]) {
		return 0, bcrypt.InvalidHashPrefixError(0)
	}
	return bcrypt.Cost([]byte(hash))
}

// isFilter reports whether s is a subject that may have wildcards.
func isFilter(s string) bool {
	tokens := strings.Split(s, ".")
	for i, token := range tokens {
		wildcard := token == "*" || token == ">" && i == len(tokens)-1
		if !wildcard && !isSubjectToken(token) {
			return false
		}
	}
	return true
}

// validateNoLogin is for a server without accounts, to which the node connects in memory, without a login
// and without TLS.
func (n NATS) validateNoLogin(p *problems) {
	for _, s := range n.remote() {
		if s.value != "" && s.key != "nats.tls.key" { // its certificate is enough
			p.add(s.key, "the embedded server requires no login of the node and has no TLS; set nats.url or nats.embedded.config too, or remove this")
		}
	}
	if n.TLS.HandshakeFirst {
		p.add("nats.tls.handshake_first", "the embedded server has no TLS; set nats.url or nats.embedded.config too, or remove this")
	}
	for _, s := range []setting{{"nats.domain", n.Domain}, {"nats.api_prefix", n.APIPrefix}} {
		if s.value != "" {
			p.add(s.key, "the embedded server has the JetStream API under its usual prefix; set nats.url or nats.embedded.config too, or remove this")
		}
	}
}
