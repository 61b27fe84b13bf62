package jetstore_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed/feedtest"
	"github.com/tidemark/tidemark/internal/jetstore"
)

func TestConformance(t *testing.T) {
	for _, storage := range []jetstream.StorageType{jetstream.FileStorage, jetstream.MemoryStorage} {
		t.Run(storage.String(), func(t *testing.T) {
			feedtest.TestStore(t, func(t *testing.T) feedtest.Harness { return harness(t, storage) })
		})
	}
}

func harness(t *testing.T, storage jetstream.StorageType) feedtest.Harness {
	s := newStand(t)
	s.reset(jetstream.StreamConfig{Storage: storage})
	return feedtest.Harness{
		Store: s.open(jetstore.Options{}),
		Publish: func(subject, typ string, data []byte) uint64 {
			header := nats.Header{}
			if typ != "" {
				header.Set("Event-Type", typ)
			}
			return s.publish(subject, data, header)
		},
		Trim:     s.purge,
		Delete:   s.deleteMsg,
		Recreate: func() { s.reset(jetstream.StreamConfig{Storage: storage}) },
	}
}
