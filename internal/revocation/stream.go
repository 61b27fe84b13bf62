package revocation

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/pkg/auth"
)

const (
	// Subject is the subject of revocations, in the form of auth.ParseRevocation. Every
	// node receives them; the permissions of NATS decide which users may publish there.
	Subject = "tidemark.revoke"
	// Stream stores the messages on Subject, so that revocations survive a restart of
	// a node. Every node creates it where it is missing.
	Stream = "TIDEMARK_REVOCATIONS"
)

const (
	// maxMessages and maxBytes bound the stream, which refuses further revocations then.
	// A node remembers all that fit; see auth.Revocations.MaxBytes.
	maxMessages = 100_000
	maxBytes    = 16 << 20
	maxSize     = 8 << 10 // of a message with its headers; auth.ParseRevocation takes 4 KiB

	// tagKeyMetadata holds the key of auth.Tagger where auth.tag_key is not set, so that all nodes
	// have the same without configuration.
	tagKeyMetadata = "tidemark.tag_key"
)

// errOtherStream reports a stream of that name that does not store revocations.
var errOtherStream = errors.New("the stream " + Stream + " does not store " + Subject + "; rename or delete it")

func (f *Follower) streamConfig() jetstream.StreamConfig {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	return jetstream.StreamConfig{
		Name: Stream, Description: "Tidemark: revocations of tokens", Subjects: []string{Subject},
		Storage: jetstream.FileStorage, Replicas: f.opts.Replicas, Discard: jetstream.DiscardNew,
		MaxAge: f.opts.Remembered.Keep, MaxMsgs: maxMessages, MaxBytes: maxBytes, MaxMsgSize: maxSize,
		Metadata: map[string]string{tagKeyMetadata: base64.StdEncoding.EncodeToString(random)},
	}
}

// openStream finds the stream or creates it, and reads the key of tags from it.
func (f *Follower) openStream(ctx context.Context, js jetstream.JetStream) error {
	stream, err := js.Stream(ctx, Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if stream, err = js.CreateStream(ctx, f.streamConfig()); err == nil {
			f.opts.Logger.Info("revocation: stream created", "stream", Stream, "max_age", f.opts.Remembered.Keep.String())
		}
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", Stream, err)
	}
	cfg := stream.CachedInfo().Config
	if !slices.Contains(cfg.Subjects, Subject) {
		return errOtherStream
	}
	f.extendMaxAge(ctx, js, cfg)
	f.setTagKey(cfg)
	return nil
}

// Store publishes a revocation, and blocks until Stream has stored it or ctx ends.
// After an error of the latter the nodes that are connected may have applied it; it is safe to repeat.
func Store(ctx context.Context, js jetstream.JetStream, rev auth.Revocation) error {
	body, err := json.Marshal(rev)
	if err != nil {
		return err
	}
	if _, err := auth.ParseRevocation(body); err != nil { // the nodes would ignore it
		return err
	}
	_, err = js.Publish(ctx, Subject, body, jetstream.WithExpectStream(Stream), jetstream.WithRetryAttempts(0))
	if err != nil {
		return fmt.Errorf("revocation: not known to be stored by the stream %s, nodes that restart may not apply it: %w; repeat it when a node is ready (/readyz shows the part revocations)", Stream, err)
	}
	return nil
}

// extendMaxAge changes the stream where it would delete revocations before their tokens expire.
func (f *Follower) extendMaxAge(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) {
	if cfg.MaxAge == 0 || cfg.MaxAge >= f.opts.Remembered.Keep {
		return
	}
	log := f.opts.Logger.With("stream", Stream, "max_age", cfg.MaxAge.String(), "needed", f.opts.Remembered.Keep.String())
	if !f.opts.ChangeStream {
		log.Warn("revocation: stream deletes revocations before their tokens expire; such tokens are accepted after a restart", "remedy", "set streams.apply, or change its max_age")
		return
	}
	cfg.MaxAge = f.opts.Remembered.Keep
	if _, err := js.UpdateStream(ctx, cfg); err != nil {
		log.Warn("revocation: stream cannot be changed; it deletes revocations before their tokens expire", "error", err)
	}
}

func (f *Follower) setTagKey(cfg jetstream.StreamConfig) {
	if f.opts.TagKeySet {
		return
	}
	key, err := base64.StdEncoding.DecodeString(cfg.Metadata[tagKeyMetadata])
	if err != nil || len(key) < auth.MinTagKey {
		f.opts.Logger.Warn("revocation: stream has no key for tags; GET /identity returns none", "stream", Stream, "remedy", "set auth.tag_key to the same key at all nodes")
		return
	}
	f.opts.Tags.SetKey(key)
}
