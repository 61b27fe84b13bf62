package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/pkg/auth"
)

const (
	// RevokeSubject is where revocations are published, as auth.ParseRevocation reads them. Every
	// node receives them; the permissions of NATS decide who may publish there.
	RevokeSubject = "tidemark.revoke"
	// RevocationStream stores what is published on RevokeSubject, so that revocations survive a restart of
	// a node. Every node creates it where it is missing.
	RevocationStream = "TIDEMARK_REVOCATIONS"
)

const (
	// longestToken is how long revocations are kept where auth.jwt.max_lifetime does not bound tokens.
	longestToken = 24 * time.Hour
	// maxRevocations and maxRevocationBytes bound the stream, which refuses further revocations then.
	// A node remembers all that fit; see auth.Revocations.MaxBytes.
	maxRevocations     = 100_000
	maxRevocationBytes = 16 << 20
	maxRevocationSize  = 8 << 10 // of a message with its headers; auth.ParseRevocation takes 4 KiB

	// tagKeyMetadata holds the key of auth.Tagger where auth.tag_key is not set, so that all nodes
	// have the same without configuration.
	tagKeyMetadata = "tidemark.tag_key"
)

// errOtherStream reports a stream of that name that does not store revocations.
var errOtherStream = errors.New("the stream " + RevocationStream + " does not store " + RevokeSubject + "; rename or delete it")

// openRevocations sets what the list of revocations needs to know of tokens.
func (s *Server) openRevocations(context.Context) error {
	if s.tokens != nil {
		s.revoked.Leeway = s.tokens.Leeway()
	}
	s.revoked.Keep = cmp.Or(s.opts.Auth.JWT.MaxLifetime, longestToken) + s.revoked.Leeway
	if key := s.opts.Auth.TagKey; len(key) > 0 {
		if len(key) < auth.MinTagKey {
			return fmt.Errorf("auth.tag_key: it has %d bytes; at least %d are needed", len(key), auth.MinTagKey)
		}
		s.tags.SetKey(key)
	}
	return nil
}

func (s *Server) revocationConfig() jetstream.StreamConfig {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	return jetstream.StreamConfig{
		Name: RevocationStream, Description: "Tidemark: revocations of tokens", Subjects: []string{RevokeSubject},
		Storage: jetstream.FileStorage, Replicas: s.replicas(), Discard: jetstream.DiscardNew,
		MaxAge: s.revoked.Keep, MaxMsgs: maxRevocations, MaxBytes: maxRevocationBytes, MaxMsgSize: maxRevocationSize,
		Metadata: map[string]string{tagKeyMetadata: base64.StdEncoding.EncodeToString(random)},
	}
}

// openRevocationStream finds the stream or creates it, and takes the key of tags from it.
func (s *Server) openRevocationStream(ctx context.Context) error {
	stream, err := s.js.Stream(ctx, RevocationStream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if stream, err = s.js.CreateStream(ctx, s.revocationConfig()); err == nil {
			s.opts.Logger.Info("stream of revocations created", "stream", RevocationStream, "max_age", s.revoked.Keep.String())
		}
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", RevocationStream, err)
	}
	cfg := stream.CachedInfo().Config
	if !slices.Contains(cfg.Subjects, RevokeSubject) {
		return errOtherStream
	}
	s.keepLongEnough(ctx, cfg)
	s.setTagKey(cfg)
	return nil
}

// StoreRevocation publishes a revocation, and blocks until RevocationStream has stored it or ctx ends.
// After an error of the latter the nodes that are connected may have applied it; it is safe to repeat.
func StoreRevocation(ctx context.Context, js jetstream.JetStream, rev auth.Revocation) error {
	body, err := json.Marshal(rev)
	if err != nil {
		return err
	}
	if _, err := auth.ParseRevocation(body); err != nil { // the nodes would ignore it
		return err
	}
	_, err = js.Publish(ctx, RevokeSubject, body, jetstream.WithExpectStream(RevocationStream), jetstream.WithRetryAttempts(0))
	if err != nil {
		return fmt.Errorf("revocation: not known to be stored by the stream %s, nodes that restart may not apply it: %w; repeat it when a node is ready (/readyz shows the part revocations)", RevocationStream, err)
	}
	return nil
}

// keepLongEnough changes the stream where it would forget revocations before their tokens expire.
func (s *Server) keepLongEnough(ctx context.Context, cfg jetstream.StreamConfig) {
	if cfg.MaxAge == 0 || cfg.MaxAge >= s.revoked.Keep {
		return
	}
	log := s.opts.Logger.With("stream", RevocationStream, "max_age", cfg.MaxAge.String(), "needed", s.revoked.Keep.String())
	if !s.ownsStore() && !s.opts.ApplyStreams {
		log.Warn("stream of revocations forgets them before their tokens expire: set streams.apply, or change its max_age")
		return
	}
	cfg.MaxAge = s.revoked.Keep
	if _, err := s.js.UpdateStream(ctx, cfg); err != nil {
		log.Warn("stream of revocations forgets them before their tokens expire, and cannot be changed", "error", err)
	}
}

func (s *Server) setTagKey(cfg jetstream.StreamConfig) {
	if len(s.opts.Auth.TagKey) > 0 {
		return
	}
	key, err := base64.StdEncoding.DecodeString(cfg.Metadata[tagKeyMetadata])
	if err != nil || len(key) < auth.MinTagKey {
		s.opts.Logger.Warn("GET /identity has no tags, as another program created the stream: set auth.tag_key to the same key at all nodes", "stream", RevocationStream)
		return
	}
	s.tags.SetKey(key)
}
