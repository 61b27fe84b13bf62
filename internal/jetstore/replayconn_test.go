package jetstore_test

import (
	"errors"
	"io"
	"testing"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/jetstore"
)

// Replays read over Options.Replays only, and a replay survives the loss of that connection.
func TestRead_OwnConnection_SurvivesItsLoss(t *testing.T) {
	s := newHarness(t)
	const events, size = 2000, 1000
	for range events {
		s.Publish("notifications.a", make([]byte, size), nil)
	}
	replays := s.Connect()
	l := s.open(jetstore.Options{Replays: replays})
	before := s.Conn.Stats().InBytes
	r, err := l.Read(s.Ctx(), feed.ReadOptions{From: 1, To: events})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	next := uint64(1)
	for batches := 0; err == nil; batches++ {
		if batches == 3 {
			if err := replays.ForceReconnect(); err != nil {
				t.Fatal(err)
			}
		}
		r.Request(128 << 10)
		var batch feed.Batch
		batch, err = r.Next(s.Ctx())
		for _, ev := range batch.Events {
			if ev.Seq != next {
				t.Fatalf("event %d came for %d", ev.Seq, next)
			}
			next++
		}
	}
	if !errors.Is(err, io.EOF) || next != events+1 {
		t.Errorf("read to %d: %v", next-1, err)
	}
	own, other := replays.Stats().InBytes, s.Conn.Stats().InBytes-before
	if own < events*size || other > events*size/4 {
		t.Errorf("%d bytes came over the connection of replays, %d over the other", own, other)
	}
}
