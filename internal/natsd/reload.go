package natsd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// SetUsers replaces Options.Users. It takes effect with the next Reload that succeeds.
func (s *Server) SetUsers(users []User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = slices.Clone(users)
}

// Reload reads Options.ConfigFile and the certificates that it names again, and takes over what
// nats-server can change while it runs: users, accounts, permissions, certificates, limits, remotes
// of leaf nodes. Clients whose login or password is gone are disconnected. On an error everything
// stays as it was; it names what needs a restart.
func (s *Server) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil {
		return nil // it will read its files when it starts
	}
	opts := s.opts
	opts.Users = s.users
	if opts.ConfigFile == "" && len(opts.Users) == 0 && s.login == nil {
		return nil // there is nothing to read
	}
	so, err := resolveAgain(opts, s.login)
	if err != nil {
		return err
	}
	if err := s.srv.ReloadOptions(so.Options); err != nil {
		return fmt.Errorf("nats.embedded.config: %s; restart to change it", withoutValues(err))
	}
	s.opts, s.needsLogin = opts, serverSecret(so)
	s.opts.logOverrides(so, s.log.out)
	return nil
}

// resolveAgain is for a server whose clients in this process keep the login that they have.
func resolveAgain(opts Options, login *nodeLogin) (*resolved, error) {
	so, err := opts.resolve(login)
	if err == nil && (so.login == nil) != (login == nil) {
		return nil, errors.New("nats.embedded.config, nats.embedded.users: whether the node needs a login is decided at the start; restart to change it")
	}
	return so, err
}

// withoutValues drops the values of an option that cannot be reloaded: they may be secrets.
func withoutValues(err error) string {
	text, _, _ := strings.Cut(err.Error(), ": old=")
	return text
}
