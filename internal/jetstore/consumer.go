package jetstore

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// consumerConfig is what tail and replays share: the server keeps nothing of the consumer
// on disk, on one replica, and waits for no acknowledgement.
func (l *Store) consumerConfig(filters []string) jetstream.ConsumerConfig {
	cfg := jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: l.opts.InactiveThreshold,
	}
	if len(filters) == 1 {
		cfg.FilterSubject = filters[0]
	} else {
		cfg.FilterSubjects = filters
	}
	return cfg
}

// refused explains why the server does not make a consumer, where the reason is the kind of
// stream: the server's own words name an option that the caller cannot see.
func (l *Store) refused(ctx context.Context, cause error) error {
	info, err := l.info(ctx)
	if err != nil {
		return cause
	}
	if err := checkRetention(l.opts.Stream, info.Config.Retention); err != nil {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return cause
}
