package config

import (
	"fmt"
	"os"
	"strings"
)

// NATSSource is the use of variables and contexts of the nats command for nats.*.
type NATSSource struct {
	// Used are the names of the variables, or the context, that were used.
	Used []string
	// Ignored are the names of variables that were set and not used; Why is the reason.
	Ignored []string
	Why     string
	// UsersFile is the file that sets nats.embedded.users.
	UsersFile string
}

// variables are an environment as KEY=value. The last one of a name applies.
type variables []string

func (v variables) get(name string) string {
	for i := len(v) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(v[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// natsVariables are the variables of the nats command for the server and the login.
var natsVariables = []string{
	"NATS_URL", "NATS_CONTEXT", "NATS_CREDS", "NATS_NKEY", "NATS_USER", "NATS_PASSWORD", "NATS_CA", "NATS_CERT", "NATS_KEY",
}

func (v variables) natsSet() (names []string) {
	for _, name := range natsVariables {
		if v.get(name) != "" {
			names = append(names, name)
		}
	}
	return names
}

// fromEnvironment completes nats.* from nats.context, else from the variables of the nats command. Every key of
// nats.* that is set overrides these: they neither replace a server nor add a login to another server. serve
// has the embedded server by default, which they replace only where nothing shows that it is in use: no key
// of nats.embedded is set, and its store does not exist. A login without a server is that of a command at the
// embedded server, and never that of the node, which must not change with the environment of a shell.
func (n *NATS) fromEnvironment(env variables, serve bool, p *problems) {
	set := env.natsSet()
	if n.Context != "" {
		n.Source.ignore(set, "nats.context is set")
		n.useContext(env, p)
		return
	}
	if len(set) == 0 {
		return
	}
	names := env.get("NATS_URL") != "" || env.get("NATS_CONTEXT") != ""
	switch why := n.embeddedInUse(); {
	case n.URL != "" && names:
		n.Source.ignore(set, "nats.url is set")
		return
	case n.URL == "" && !names && serve:
		n.Source.ignore(set, "neither nats.url nor NATS_URL is set, and the embedded server is used")
		return
	case n.URL == "" && serve && why != "":
		n.Source.ignore(set, why+"; set nats.url to use another server")
		return
	}
	theirs, err := env.natsSettings()
	if err != nil {
		p.from("nats.context", "NATS_CONTEXT")
		p.add("nats.context", "%w", err)
		return
	}
	if n.URL == "" && names {
		p.from("nats.url", strings.Join(set, ", "))
	}
	n.complete(theirs)
	n.Source.Used = set
}

func (s *NATSSource) ignore(names []string, why string) {
	if len(names) > 0 {
		s.Ignored, s.Why = names, why
	}
}

// embeddedInUse returns the reason to treat the embedded server as in use; empty if there is none.
func (n *NATS) embeddedInUse() string {
	d, e := Default().NATS.Embedded, n.Embedded
	if e.Addr != d.Addr || e.Dir != d.Dir || e.Sync != d.Sync || e.Config != "" || e.Account != "" || len(e.Users) > 0 {
		return "nats.embedded is set"
	}
	if _, err := os.Stat(n.Embedded.Dir); err == nil {
		return fmt.Sprintf("the embedded server has a store in %s", n.Embedded.Dir)
	}
	return ""
}

func (n *NATS) useContext(env variables, p *problems) {
	for _, s := range n.connection() {
		if s.value != "" {
			p.add("nats.context", "%s is set too, and a context contains the server and the login; keep one of them (--%[1]s= unsets one that a file sets)", s.key)
			return
		}
	}
	theirs, err := readContext(n.Context, env)
	if err != nil {
		p.add("nats.context", "%w", err)
		return
	}
	n.complete(theirs)
	n.Source.Used = []string{"nats.context " + n.Context}
	n.Context = "" // the other keys have its settings now
}

// natsSettings returns the settings of the variables, completed from the context that NATS_CONTEXT names.
func (v variables) natsSettings() (n NATS, err error) {
	n = NATS{
		URL: v.get("NATS_URL"), Credentials: v.path(v.get("NATS_CREDS")), NKey: v.path(v.get("NATS_NKEY")),
		User: v.get("NATS_USER"), Password: v.get("NATS_PASSWORD"),
		TLS: NATSTLS{CA: v.path(v.get("NATS_CA")), ClientCert: ClientCert{Cert: v.path(v.get("NATS_CERT")), Key: v.path(v.get("NATS_KEY"))}},
	}
	if n.Password == "" { // the nats command uses a user without a password as a token
		n.User, n.Token = "", n.User
	}
	if name := v.get("NATS_CONTEXT"); name != "" {
		theirs, err := readContext(name, v)
		if err != nil {
			return n, err
		}
		n.complete(theirs)
	}
	return n, nil
}

// complete copies from other the settings that n does not have. It copies a login as a whole, and a certificate
// with its key.
func (n *NATS) complete(other NATS) {
	if !n.HasLogin() {
		n.Credentials, n.NKey, n.User, n.Password, n.Token = other.Credentials, other.NKey, other.User, other.Password, other.Token
	}
	if n.TLS.ClientCert == (ClientCert{}) {
		n.TLS.ClientCert = other.TLS.ClientCert
	}
	if n.Domain == "" && n.APIPrefix == "" {
		n.Domain, n.APIPrefix = other.Domain, other.APIPrefix
	}
	for _, f := range []struct{ to, from *string }{
		{&n.URL, &other.URL}, {&n.TLS.CA, &other.TLS.CA}, {&n.InboxPrefix, &other.InboxPrefix},
	} {
		if *f.to == "" {
			*f.to = *f.from
		}
	}
	n.TLS.HandshakeFirst = n.TLS.HandshakeFirst || other.TLS.HandshakeFirst
}

// HasLogin reports whether a login is set.
func (n *NATS) HasLogin() bool {
	return n.Credentials != "" || n.NKey != "" || n.User != "" || n.Password != "" || n.Token != ""
}

type setting struct{ key, value string }

// connection returns the settings that a context has too.
func (n *NATS) connection() []setting {
	first := ""
	if n.TLS.HandshakeFirst {
		first = "true"
	}
	return append(n.remote(),
		setting{"nats.url", n.URL}, setting{"nats.domain", n.Domain}, setting{"nats.api_prefix", n.APIPrefix}, setting{"nats.inbox_prefix", n.InboxPrefix}, setting{"nats.tls.handshake_first", first})
}

// remote returns the settings that apply to a server of nats.url only.
func (n *NATS) remote() []setting {
	return []setting{
		{"nats.credentials", n.Credentials}, {"nats.nkey", n.NKey}, {"nats.user", n.User}, {"nats.password", n.Password},
		{"nats.token", n.Token}, {"nats.tls.ca", n.TLS.CA}, {"nats.tls.cert", n.TLS.Cert}, {"nats.tls.key", n.TLS.Key},
	}
}
