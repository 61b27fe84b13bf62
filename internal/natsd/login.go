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
	Publish      []string // permitted subjects, with wildcards; empty means none
	Subscribe    []string // permitted subjects; empty means _INBOX.>, which replies require
}

// inboxes are the subjects for replies to clients, for example JetStream's acknowledgements.
const inboxes = "_INBOX.>"

// privateInboxes returns a prefix for the inboxes of the node. JetStream sends the events of all users to
// them. Clients with a permission for _INBOX.> must not receive these.
func privateInboxes() string { return "_INBOX_" + rand.Text() }

// inProcess restricts a login to connections through memory. It is jwt.ConnectionTypeInProcess.
const inProcess = "IN_PROCESS"

// nodeLogin is the node's login at a server that requires one: a key that is created at the start and
// does not leave the process.
type nodeLogin struct {
	key    nkeys.KeyPair
	public string
}

func newNodeLogin() (*nodeLogin, error) {
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, fmt.Errorf("embedded nats-server: create a login for the node: %w", err)
	}
	public, err := key.PublicKey()
	return &nodeLogin{key: key, public: public}, err
}

func (l *nodeLogin) option() nats.Option { return nats.Nkey(l.public, l.key.Sign) }

// addLogins adds the users of the options, and a login for the node if it requires one.
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
		return fmt.Errorf("nats.embedded.users: %s has an operator, and its accounts define the users; remove one of the two", so.file.name)
	case o.Account != "":
		return fmt.Errorf("nats.embedded.account: %s has an operator, so the account is that of nats.credentials; remove this key", so.file.name)
	case !o.NodeLogin:
		return fmt.Errorf("nats.credentials: it is empty, and %s has an operator; set the credentials of a user in the account with the streams", so.file.name)
	}
	return nil
}

// hasLogins reports whether clients have any login.
func hasLogins(so *server.Options) bool {
	return len(so.Users) > 0 || len(so.Nkeys) > 0 || so.Username != "" || so.Authorization != "" || so.AuthCallout != nil
}

// nodeAccount returns the account of the node, or nil for the global account.
func (o Options) nodeAccount(so *resolved) (*server.Account, error) {
	var names []string
	for _, a := range so.Accounts {
		if a.Name == o.Account {
			if a.Name == so.SystemAccount || a.Name == server.DEFAULT_SYSTEM_ACCOUNT {
				return nil, fmt.Errorf("nats.embedded.account: %s is the system account, which cannot have streams; set another account", a.Name)
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
		return nil, fmt.Errorf("nats.embedded.account: %s has no account %q; use one of these: %s", so.file.name, o.Account, orNone(names))
	case len(names) > 0 && o.NodeLogin && len(o.Users) > 0:
		return nil, fmt.Errorf("nats.embedded.users: %s has accounts, and the node has its own login; add the users to one of the accounts", so.file.name)
	case len(names) > 0 && !o.NodeLogin:
		return nil, fmt.Errorf("nats.embedded.account: %s has accounts (%s); set the one with the streams, or set a login of the node (nats.credentials, nats.nkey or nats.user)", so.file.name, strings.Join(names, ", "))
	}
	return nil, nil //nolint:nilnil // the global account has no other name here
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "(there are none)"
	}
	return strings.Join(names, ", ")
}

// addUsers adds the users of the options.
func (o Options) addUsers(so *resolved, account *server.Account) error {
	if len(o.Users) == 0 {
		return nil
	}
	if so.Username != "" { // the server ignores this login if there are users
		so.Users = append(so.Users, &server.User{Username: so.Username, Password: so.Password})
		so.Username, so.Password = "", ""
	}
	for _, u := range o.Users {
		if _, err := bcrypt.Cost([]byte(u.PasswordHash)); err != nil {
			return fmt.Errorf("nats.embedded.users: the password of %q is not a bcrypt hash; create one with `tidemark nats-password`", u.Name)
		}
		if slices.ContainsFunc(so.Users, func(other *server.User) bool { return other.Username == u.Name }) {
			return fmt.Errorf("nats.embedded.users: %q occurs twice, or is also a user of %s; remove one", u.Name, so.file.name)
		}
		so.Users = append(so.Users, u.user(account))
	}
	if so.authBlock {
		return nil
	}
	// Without this block, a server with only the system account requires no login.
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
