package natsd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// SetUsers replaces Options.Users. It takes effect with the next successful Reload.
func (s *Server) SetUsers(users []User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users = slices.Clone(users)
}

// Reload reads Options.ConfigFile and its certificates again, and applies the changes.
//
// nats-server can change users, accounts, permissions, certificates, limits and remotes of leaf nodes while
// it runs. It disconnects clients with a removed login or a changed password. On an error nothing is
// changed. The error names the option that requires a restart.
func (s *Server) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.srv == nil {
		return nil // a restart reads the files
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

// resolveAgain resolves the options of a running server. The node keeps its login.
func resolveAgain(opts Options, login *nodeLogin) (*resolved, error) {
	so, err := opts.resolve(login)
	if err == nil && (so.login == nil) != (login == nil) {
		return nil, errors.New("nats.embedded.config, nats.embedded.users: the change would add or remove the login of the node; restart to apply it")
	}
	return so, err
}

// withoutValues removes the values of an option that cannot be reloaded, because they may be secrets.
func withoutValues(err error) string {
	text, _, _ := strings.Cut(err.Error(), ": old=")
	return text
}
