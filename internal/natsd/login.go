package natsd

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"golang.org/x/crypto/bcrypt"
)

// User is a NATS client with a password, in the account of the node.
type User struct {
	Name         string
	PasswordHash string   // bcrypt
	Publish      []string // subjects, with wildcards, that it may publish to; empty for none
	Subscribe    []string // subjects that it may subscribe to; empty is _INBOX.>, which answers need
}

// inboxes are the subjects that clients receive answers on, among them those of JetStream to
// a publish.
const inboxes = "_INBOX.>"

// privateInboxes returns a prefix for the inboxes of the node. JetStream sends to them what the node
// reads for all users, which a client that may subscribe to _INBOX.> must not receive.
func privateInboxes() string { return "_INBOX_" + rand.Text() }

// inProcess restricts a login to connections through memory. It is jwt.ConnectionTypeInProcess.
const inProcess = "IN_PROCESS"

// nodeLogin is the login of the node at a server that needs one: a key that is made at the start and
// never leaves the process.
type nodeLogin struct {
	key    nkeys.KeyPair
	public string
}

func newNodeLogin() (*nodeLogin, error) {
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("embedded nats-server: make a login for the node: %w", err)
	}
	public, err := key.PublicKey()
	return &nodeLogin{key: key, public: public}, err
}

func (l *nodeLogin) option() nats.Option { return nats.Nkey(l.public, l.key.Sign) }

// addLogins adds the users of the options, and a login for the node where it needs one.
func (o Options) addLogins(so *resolved) error {
	if operatorMode(so.Options) {
		so.login = nil
		return o.checkOperatorMode(so)
	}
	account, err := o.nodeAccount(so)
	if err != nil {
		return err
	}
	if err := o.addUsers(so, account); err != nil {
		return err
	}
	if o.NodeLogin || !hasLogins(so.Options) && account == nil {
		so.login = nil
		return nil
	}
	if so.login == nil {
		if so.login, err = newNodeLogin(); err != nil {
			return err
		}
	}
	so.Nkeys = append(so.Nkeys, &server.NkeyUser{
		Nkey: so.login.public, Account: account, AllowedConnectionTypes: map[string]struct{}{inProcess: {}},
	})
	if so.AuthCallout != nil {
		so.AuthCallout.AuthUsers = append(so.AuthCallout.AuthUsers, so.login.public)
	}
	return nil
}

func operatorMode(so *server.Options) bool {
	return len(so.TrustedOperators) > 0 || len(so.TrustedKeys) > 0
}

func (o Options) checkOperatorMode(so *resolved) error {
	switch {
	case len(o.Users) > 0:
		return fmt.Errorf("nats.embedded.users: %s names an operator, whose accounts have the users; drop one of the two", so.file.name)
	case o.Account != "":
		return fmt.Errorf("nats.embedded.account: %s names an operator; the account is that of nats.credentials, drop this", so.file.name)
	case !o.NodeLogin:
		return fmt.Errorf("nats.credentials: it is empty, and %s names an operator; name the credentials of a user for the node, whose account has the streams", so.file.name)
	}
	return nil
}

// hasLogins reports whether there is any login for clients.
func hasLogins(so *server.Options) bool {
	return len(so.Users) > 0 || len(so.Nkeys) > 0 || so.Username != "" || so.Authorization != "" || so.AuthCallout != nil
}

// nodeAccount returns the account that the node logs in to; nil for the global one.
func (o Options) nodeAccount(so *resolved) (*server.Account, error) {
	var names []string
	for _, a := range so.Accounts {
		if a.Name == o.Account {
			if a.Name == so.SystemAccount || a.Name == server.DEFAULT_SYSTEM_ACCOUNT {
				return nil, fmt.Errorf("nats.embedded.account: %s is the system account, which cannot have streams; name another one", a.Name)
			}
			return a, nil
		}
		if a.Name != so.SystemAccount && a.Name != server.DEFAULT_SYSTEM_ACCOUNT && a.Name != server.DEFAULT_GLOBAL_ACCOUNT {
			names = append(names, a.Name)
		}
	}
	slices.Sort(names)
	switch {
	case o.Account != "" && o.Account != server.DEFAULT_GLOBAL_ACCOUNT:
		return nil, fmt.Errorf("nats.embedded.account: %s has no account %q, but %s", so.file.name, o.Account, orNone(names))
	case len(names) > 0 && o.NodeLogin && len(o.Users) > 0:
		return nil, fmt.Errorf("nats.embedded.users: %s has accounts, and the node has a login of its own; write the users into one of the accounts", so.file.name)
	case len(names) > 0 && !o.NodeLogin:
		return nil, fmt.Errorf("nats.embedded.account: %s has accounts (%s); name the one that has the streams, or set a login of the node (nats.credentials, nats.nkey or nats.user)", so.file.name, strings.Join(names, ", "))
	}
	return nil, nil //nolint:nilnil // the global account has no other name here
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none at all"
	}
	return strings.Join(names, ", ")
}

// addUsers adds those of the options.
func (o Options) addUsers(so *resolved, account *server.Account) error {
	if len(o.Users) == 0 {
		return nil
	}
	if so.Username != "" { // where there are users, the server does not compare with this one
		so.Users = append(so.Users, &server.User{Username: so.Username, Password: so.Password})
		so.Username, so.Password = "", ""
	}
	for _, u := range o.Users {
		if _, err := bcrypt.Cost([]byte(u.PasswordHash)); err != nil {
			return fmt.Errorf("nats.embedded.users: the password of %q is not a bcrypt hash; make one with `tidemark nats-password`", u.Name)
		}
		if slices.ContainsFunc(so.Users, func(other *server.User) bool { return other.Username == u.Name }) {
			return fmt.Errorf("nats.embedded.users: %q is there twice, or is a user of %s too", u.Name, so.file.name)
		}
		so.Users = append(so.Users, u.user(account))
	}
	if so.authBlock {
		return nil
	}
	// A server with no account but the system's, and without this block, lets everybody in.
	so.authBlock = true
	return so.ProcessConfigString("authorization: {}")
}

func (u User) user(account *server.Account) *server.User {
	subscribe := u.Subscribe
	if len(subscribe) == 0 {
		subscribe = []string{inboxes}
	}
	publish := &server.SubjectPermission{Allow: u.Publish}
	if len(u.Publish) == 0 {
		publish = &server.SubjectPermission{Deny: []string{">"}}
	}
	return &server.User{
		Username: u.Name, Password: u.PasswordHash, Account: account,
		Permissions: &server.Permissions{Publish: publish, Subscribe: &server.SubjectPermission{Allow: subscribe}},
	}
}
