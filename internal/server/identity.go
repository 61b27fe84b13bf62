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

// callers are the sources of identities for each kind of request.
type callers struct {
	tokens  *auth.JWTSource    // nil if not configured
	headers *auth.HeaderSource // nil if not configured
	keys    *auth.APIKeys      // nil if not configured

	reader    auth.Source // of feeds
	publisher auth.Source // nil where every caller may publish
	presence  auth.Source // of GET /connections
	operators auth.Source // of /admin from other machines; nil rejects all

	revoked auth.Revocations
	tags    auth.Tagger
}

// openCallers makes the sources of identities.
func (s *Server) openCallers(context.Context) error {
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
	s.callers.reader = s.callers.revoked.RejectRevoked(auth.Required(readers...))
	if err := s.openPublishers(); err != nil {
		return err
	}
	s.openPresenceReaders()
	if s.callers.keys != nil {
		s.callers.operators = s.callers.revoked.RejectRevoked(auth.Required(s.callers.keys.Identify))
	}
	return nil
}

// refuseUser refuses ?user= where no source identifies users. A developer would otherwise have a connection that
// receives broadcasts only, without an error.
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
		s.callers.headers = auth.Header(opts)
		return s.callers.headers.Identify, nil
	case "dev":
		return auth.Dev("user"), nil
	case "anonymous":
		return auth.Anonymous(), nil
	}
	return nil, fmt.Errorf("there is no such source of identities")
}

func (s *Server) openJWT() (auth.Source, error) {
	if s.callers.tokens == nil {
		tokens, err := auth.JWT(s.opts.Auth.JWT)
		if err != nil {
			return nil, err
		}
		s.life.OnStop(func() { _ = tokens.Close() })
		s.callers.tokens = tokens
	}
	return s.callers.tokens.Identify, nil
}

// openPublishers leaves s.callers.publisher nil where every caller may publish.
func (s *Server) openPublishers() error {
	var sources []auth.Source
	if file := s.opts.Publish.KeysFile; file != "" {
		keys, err := auth.OpenAPIKeys(file)
		if err != nil {
			return fmt.Errorf("publish.keys: %w", err)
		}
		s.callers.keys = keys
		sources = append(sources, keys.Identify)
	}
	if s.opts.Publish.ByToken && s.callers.tokens != nil {
		sources = append(sources, s.callers.tokens.Identify)
	}
	if len(sources) == 0 && s.opts.Publish.LocalOnly {
		sources = append(sources, auth.LoopbackOnly())
	}
	if len(sources) > 0 {
		s.callers.publisher = s.callers.revoked.RejectRevoked(auth.Required(sources...))
	}
	return nil
}

// howToIdentify returns the identities that this node accepts, with their variables. The text is for clients
// without a value for a variable.
func (o *Options) howToIdentify() string {
	var ways []string
	for _, source := range o.Auth.Identity {
		switch source {
		case "jwt":
			claims := o.Auth.JWT.Claims
			if claims == nil { // the default of pkg/auth
				claims = map[string]string{"user": "sub"}
			}
			ways = append(ways, "send a token, which has "+variables(claims)+" (auth.jwt.claims)")
		case "header":
			named := maps.Clone(o.Auth.Header.Vars)
			if named == nil {
				named = map[string]string{}
			}
			named["user"] = o.Auth.Header.User
			ways = append(ways, "connect through the gateway, whose headers have "+variables(named)+" (auth.header.user, auth.header.vars)")
		}
	}
	if o.takesUsers() {
		ways = append(ways, "send ?user=, which has {user} alone")
	}
	if len(ways) == 0 {
		return "this node identifies no users (auth.identity)"
	}
	return strings.Join(ways, " or ")
}

// variables lists the keys of a map in the syntax of templates.
func variables(of map[string]string) string {
	names := slices.Sorted(maps.Keys(of))
	for i, name := range names {
		names[i] = "{" + name + "}"
	}
	return strings.Join(names, ", ")
}

// withoutKeys is the source where neither keys nor tokens are configured. With Options.Dev programs of this
// machine have the right. Otherwise the answer names the key to set.
func (s *Server) withoutKeys(what, set string) auth.Source {
	if s.opts.Dev {
		return auth.LoopbackOnly()
	}
	return func(*http.Request) (auth.Identity, error) {
		return auth.Identity{}, &auth.Error{Status: http.StatusForbidden, Detail: what + " needs " + set + "; --dev lets programs of this machine try it"}
	}
}

// openPresenceReaders accepts keys and tokens. Where neither is configured, it accepts programs of this machine
// with Options.Dev.
func (s *Server) openPresenceReaders() {
	var sources []auth.Source
	if s.callers.keys != nil {
		sources = append(sources, s.callers.keys.Identify)
	}
	if s.opts.Presence.ByToken && s.callers.tokens != nil {
		sources = append(sources, s.callers.tokens.Identify)
	}
	if len(sources) == 0 {
		sources = append(sources, s.withoutKeys("presence", "an API key with "+auth.PresenceRight+" in publish.keys, or auth.jwt.presence_claim"))
	}
	s.callers.presence = s.callers.revoked.RejectRevoked(auth.Required(sources...))
}
