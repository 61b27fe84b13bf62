package server

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/tidemark/tidemark/internal/metrics"
	"github.com/tidemark/tidemark/internal/revocation"
	"github.com/tidemark/tidemark/pkg/auth"
)

// longestToken is how long revocations are kept where auth.jwt.max_lifetime does not bound tokens.
const longestToken = 24 * time.Hour

// openRevocations comes before the connection to NATS: that reports violations of permissions, also on the
// subjects of revocations.
func (s *Server) openRevocations(context.Context) error {
	if s.callers.tokens != nil {
		s.callers.revoked.Leeway = s.callers.tokens.Leeway()
	}
	s.callers.revoked.Keep = cmp.Or(s.opts.Auth.JWT.MaxLifetime, longestToken) + s.callers.revoked.Leeway
	key := s.opts.Auth.TagKey
	if len(key) > 0 {
		if len(key) < auth.MinTagKey {
			return fmt.Errorf("auth.tag_key: it has %d bytes; at least %d are needed", len(key), auth.MinTagKey)
		}
		s.callers.tags.SetKey(key)
	}
	s.revocations = revocation.New(revocation.Options{
		Remembered: &s.callers.revoked, Tags: &s.callers.tags, TagKeySet: len(key) > 0, Disconnect: s.disconnectRevoked,
		Domain: s.opts.Domain, APIPrefix: s.opts.APIPrefix, Replicas: s.opts.replicas(),
		ChangeStream: s.opts.ownsStore() || s.opts.ApplyStreams, Logger: s.opts.Logger,
	})
	return nil
}

func (s *Server) subscribeRevocations(context.Context) error {
	stop, err := s.revocations.Subscribe(s.nats.main)
	if err != nil {
		return err
	}
	s.life.OnStop(stop)
	return nil
}

func (s *Server) disconnectRevoked(rev auth.Revocation, at time.Time) (connections int) {
	for _, h := range s.clients.handlers {
		connections += h.Revoke(rev, at)
	}
	return connections
}

// revocationStatus returns the status for the metrics.
func (s *Server) revocationStatus() metrics.Revocations {
	status := s.callers.revoked.Status()
	applied, invalid := s.revocations.Counts()
	return metrics.Revocations{Remembered: status.Remembered, Forgotten: status.Dropped, Applied: applied, Invalid: invalid}
}
