package natsd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// SetUsers replaces Options.Users. It takes effect with the next Reload.
func (s *Server) SetUsers(users []User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.Users = slices.Clone(users)
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
	so, err := s.opts.resolve(s.login)
	if err != nil {
		return err
	}
	if (so.login == nil) != (s.login == nil) {
		return errors.New("nats.embedded.config, nats.embedded.users: whether clients need a login is decided at the start; restart to change it")
	}
	if err := s.srv.ReloadOptions(so.Options); err != nil {
		return fmt.Errorf("nats.embedded.config: %s; restart to change it", withoutValues(err))
	}
	s.needsLogin = needsLogin(so)
	s.opts.logOverrides(so, s.log.to)
	return nil
}

// withoutValues drops the values of an option that cannot be reloaded: they may be secrets.
func withoutValues(err error) string {
	text, _, _ := strings.Cut(err.Error(), ": old=")
	return text
}
