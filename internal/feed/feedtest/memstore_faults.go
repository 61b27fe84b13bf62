package feedtest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tidemark/tidemark/internal/feed"
)

// Backup is the content of a MemStore at one time.
type Backup struct {
	events []feed.Event
	last   uint64
}

// BackUp returns the present content.
func (l *MemStore) BackUp() Backup {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Backup{slices.Clone(l.events), l.last}
}

// Restore gives the stream the content of a backup: as a new incarnation, as a restore does, or
// within the present one, as a disk that was restored does.
func (l *MemStore) Restore(b Backup, incarnation bool) {
	l.update(func() {
		if incarnation {
			l.begin()
		} else {
			l.floors = append(l.floors, b.last)
		}
		l.events, l.last = slices.Clone(b.events), b.last
	})
}

// ChooseEpoch gives this and every later incarnation the same epoch.
func (l *MemStore) ChooseEpoch(epoch string) {
	l.update(func() { l.chosen, l.epoch = epoch, epoch })
}

// begin is a new incarnation, with the content that there is.
func (l *MemStore) begin() {
	l.epochs++
	l.born++
	l.epoch = l.chosen
	if l.epoch == "" {
		l.epoch = fmt.Sprintf("e%d", l.epochs)
	}
}

// Epoch is that of the stream as it is now.
func (l *MemStore) Epoch() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch
}

// PurgeSubject takes every event of a subject out.
func (l *MemStore) PurgeSubject(subject string) {
	l.update(func() {
		l.events = slices.DeleteFunc(l.events, func(ev feed.Event) bool { return ev.Subject == subject })
	})
}

// Remove deletes the stream; Recreate makes another.
func (l *MemStore) Remove() { l.update(func() { l.removed = true }) }

// errReplay fails a replay, as a lost consumer may.
var errReplay = errors.New("the replay has failed")

// FailReaders makes every Reader that is open fail from now on.
func (l *MemStore) FailReaders() { l.update(func() { l.failed++ }) }
