package model

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feed/feedtest"
)

// InMemory is the model on [feedtest.MemStore], in synctest bubbles. A history takes no real time, and
// runs in the same order each time.
func InMemory(command string, histories int) Kind {
	return Kind{
		Command: command, Histories: histories, Bubble: synctest.Test, RemovedWithin: 2 * time.Second,
		Open: func(_ testing.TB, p Profile) Store {
			store := feedtest.NewMemStore()
			store.ReadBatch = p.ReadBatch
			if p.ChosenEpoch {
				store.ChooseEpoch("chosen")
			}
			if p.Mirror {
				store.SetCopy(feed.CopyCaughtUp)
			}
			return &memStore{MemStore: store}
		},
	}
}

// memStore is a MemStore as a Store. All its nodes are cut off together.
type memStore struct {
	*feedtest.MemStore
	backup feedtest.Backup
	cut    map[int]bool
}

func (s *memStore) NodeStore(int) feed.Store { return s.MemStore }

func (s *memStore) Publish(subject string, data []byte) uint64 {
	return s.MemStore.Publish(subject, "", data)
}

func (s *memStore) PublishEnd(subject string, data []byte) uint64 {
	return s.MemStore.PublishEnd(subject, data)
}

func (s *memStore) BackUp()   { s.backup = s.MemStore.BackUp() }
func (s *memStore) Restore()  { s.MemStore.Restore(s.backup, true) }
func (s *memStore) RollBack() { s.MemStore.Restore(s.backup, false) }

func (s *memStore) SetReachable(node int, reachable bool) {
	if s.cut == nil {
		s.cut = map[int]bool{}
	}
	s.cut[node] = !reachable
	if s.cut[0] || s.cut[1] {
		s.SetDown(errors.New("cut off"))
	} else {
		s.SetDown(nil)
	}
}

func (s *memStore) Disturb(int) string {
	s.FailReaders()
	return "every replay under way fails"
}

func (s *memStore) Settle() { synctest.Wait() }
func (s *memStore) Calm()   { time.Sleep(3 * time.Second) }

func (s *memStore) Leaks() string {
	if n := s.OpenReaders(); n != 0 {
		return fmt.Sprintf("%d replays were left open", n)
	}
	return ""
}
