package server

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/tidemark/tidemark/pkg/auth"
)

// openIdentity makes the sources that say who reads and who publishes.
func (s *Server) openIdentity(context.Context) error {
	var readers []auth.Source
	for _, name := range s.opts.Auth.Identity {
		source, err := s.openSource(name)
		if err != nil {
			return fmt.Errorf("auth.%s: %w", name, err)
		}
		readers = append(readers, source)
	}
	if len(readers) == 0 {
		users := refuseUser
		if s.opts.Dev {
			users = auth.Dev("user")
		}
		readers = []auth.Source{users, auth.Anonymous()}
	}
	s.reader = s.revoked.RejectRevoked(auth.Required(readers...))
	if err := s.openPublishers(); err != nil {
		return err
	}
	s.openWatchers()
	s.openOperators()
	return nil
}

// refuseUser refuses ?user= where nothing says who the users are. To ignore it would leave a
// developer with a connection that receives broadcasts alone.
func refuseUser(r *http.Request) (auth.Identity, error) {
	if _, asked := r.URL.Query()["user"]; !asked {
		return auth.Identity{}, auth.ErrNoIdentity
	}
	return auth.Identity{}, &auth.Error{Status: http.StatusForbidden,
		Detail: "this node does not trust ?user=; start it with --dev to try things out on this machine, or set auth.identity to jwt or header"}
}

func (s *Server) openSource(name string) (auth.Source, error) {
	switch name {
	case "jwt":
		return s.openJWT()
	case "header":
		opts := s.opts.Auth.Header
		opts.Ignored = s.ignoredHeaders
		s.headers = auth.Header(opts)
		return s.headers.Identify, nil
	case "dev":
		return auth.Dev("user"), nil
	case "anonymous":
		return auth.Anonymous(), nil
	}
	return nil, fmt.Errorf("there is no such source of identities")
}

func (s *Server) openJWT() (auth.Source, error) {
	if s.tokens == nil {
		tokens, err := auth.JWT(s.opts.Auth.JWT)
		if err != nil {
			return nil, err
		}
		s.onClose(func() { _ = tokens.Close() })
		s.tokens = tokens
	}
	return s.tokens.Identify, nil
}

// openPublishers leaves s.publisher nil where everybody may publish.
func (s *Server) openPublishers() error {
	var sources []auth.Source
	if file := s.opts.Publish.KeysFile; file != "" {
		keys, err := auth.OpenAPIKeys(file)
		if err != nil {
			return fmt.Errorf("publish.keys: %w", err)
		}
		s.keys = keys
		sources = append(sources, keys.Identify)
	}
	if s.opts.Publish.ByToken && s.tokens != nil {
		sources = append(sources, s.tokens.Identify)
	}
	if len(sources) == 0 && s.opts.Publish.LocalOnly {
		sources = append(sources, auth.LoopbackOnly())
	}
	if len(sources) > 0 {
		s.publisher = s.revoked.RejectRevoked(auth.Required(sources...))
	}
	return nil
}

// howToIdentify tells a client that has no value for a variable which identities this node accepts,
// and which variables they have.
func (s *Server) howToIdentify() string {
	var ways []string
	for _, source := range s.opts.Auth.Identity {
		switch source {
		case "jwt":
			claims := s.opts.Auth.JWT.Claims
			if claims == nil { // as pkg/auth has it
				claims = map[string]string{"user": "sub"}
			}
			ways = append(ways, "send a token, which has "+variables(claims)+" (auth.jwt.claims)")
		case "header":
			named := maps.Clone(s.opts.Auth.Header.Vars)
			if named == nil {
				named = map[string]string{}
			}
			named["user"] = s.opts.Auth.Header.User
			ways = append(ways, "connect through the gateway, whose headers have "+variables(named)+" (auth.header.user, auth.header.vars)")
		}
	}
	if s.takesUsers() {
		ways = append(ways, "send ?user=, which has {user} alone")
	}
	if len(ways) == 0 {
		return "this node identifies no users (auth.identity)"
	}
	return strings.Join(ways, " or ")
}

// variables lists the keys of a map as templates have them.
func variables(of map[string]string) string {
	names := slices.Sorted(maps.Keys(of))
	for i, name := range names {
		names[i] = "{" + name + "}"
	}
	return strings.Join(names, ", ")
}
