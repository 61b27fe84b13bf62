package server

import (
	"context"
	"errors"
	"fmt"
)

// Reload reads renewable files again while a node runs. These are the certificate and the ticket keys of HTTPOptions,
// the file of API keys, and the keys of tokens (from a URL it fetches them). They are independent: if a file cannot be read, its
// old content stays in use, and the error names its configuration key. Open connections continue; new connections
// and requests use the new files. It blocks while keys are fetched: twice auth.JWKSOptions.Timeout at most, or
// until ctx ends. It is safe for concurrent use.
func (s *Server) Reload(ctx context.Context) error {
	var failed []error
	if s.main.tls != nil {
		failed = append(failed, s.main.tls.Reload())
	}
	if s.callers.keys != nil {
		if err := s.callers.keys.Reload(); err != nil {
			failed = append(failed, fmt.Errorf("publish.keys: %w", err))
		}
	}
	if s.callers.tokens != nil {
		if err := s.callers.tokens.Refresh(ctx); err != nil {
			failed = append(failed, fmt.Errorf("auth.jwt: %w", err))
		}
	}
	if s.nats.embedded != nil {
		failed = append(failed, s.nats.embedded.Reload())
	}
	return errors.Join(failed...)
}

// Reloaded returns the configuration keys of the values for Reload: certificates, ticket keys, API keys
// and keys of tokens. A self-signed certificate is not one of them.
func (s *Server) Reloaded() (keys []string) {
	if s.main.tls != nil {
		keys = s.opts.HTTP.TLS.FileKeys()
	}
	if s.callers.keys != nil {
		keys = append(keys, "publish.keys")
	}
	if s.callers.tokens != nil {
		keys = append(keys, "auth.jwt")
	}
	return keys
}

// IsEmbedded reports whether the node runs an embedded NATS server.
func (s *Server) IsEmbedded() bool { return s.nats.embedded != nil }
