package jetstore_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed/feedtest"
	"github.com/tidemark/tidemark/internal/jetstore"
	"github.com/tidemark/tidemark/internal/msgheader"
)

func TestConformance(t *testing.T) {
	for _, storage := range []jetstream.StorageType{jetstream.FileStorage, jetstream.MemoryStorage} {
		t.Run(storage.String(), func(t *testing.T) {
			feedtest.TestStore(t, func(t *testing.T) feedtest.Harness { return conformanceHarness(t, storage) })
		})
	}
}

func conformanceHarness(t *testing.T, storage jetstream.StorageType) feedtest.Harness {
	s := newHarness(t)
	s.Reset(jetstream.StreamConfig{Storage: storage})
	return feedtest.Harness{
		Store: s.open(jetstore.Options{}),
		Publish: func(subject, typ string, data []byte) uint64 {
			header := nats.Header{}
			if typ != "" {
				header.Set("Event-Type", typ)
			}
			return s.Publish(subject, data, header)
		},
		End: func(subject string, data []byte) uint64 {
			return s.Publish(subject, data, nats.Header{msgheader.End: {msgheader.EndValue}})
		},
		Trim:     s.Purge,
		Delete:   s.DeleteMsg,
		Recreate: func() { s.Reset(jetstream.StreamConfig{Storage: storage}) },
	}
}
