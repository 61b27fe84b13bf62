package model

import (
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// Store is one stream, empty at first, for the subjects `notifications.>`. One goroutine
// calls its methods, which return when the change is in force and fail the test where that is
// not possible. The stream can be changed while its nodes cannot reach it.
type Store interface {
	// NodeStore returns the stream as one node of the model reads it. It is called once for each node.
	NodeStore(node int) feed.Store
	// Epoch is that of the stream as it is now.
	Epoch() string

	Publish(subject string, data []byte) (seq uint64)
	// PublishEnd publishes an event that completes its subject.
	PublishEnd(subject string, data []byte) (seq uint64)
	Trim(first uint64)
	Delete(seq uint64)
	PurgeSubject(subject string)

	// Remove deletes the stream, and Recreate makes it after that, empty.
	Remove()
	Recreate()

	// BackUp remembers the content of the stream. Restore brings it back as a new incarnation,
	// RollBack within the present one, as a disk that was restored does.
	BackUp()
	Restore()
	RollBack()

	// SetReachable cuts a node off from the stream, or connects it again.
	SetReachable(node int, reachable bool)
	// Disturb does something to the nodes that they must heal, and returns the change; empty for none.
	Disturb(pick int) string

	// Settle waits until the nodes have done what they can, or for a moment where that cannot be
	// observed.
	Settle()
	// Calm blocks for a while in which nothing happens.
	Calm()
	// Leaks names the resources that the nodes hold although they have ended; empty for nothing.
	Leaks() string
}

// mirror is a Store that can be a copy of another stream.
type mirror interface{ SetCopy(feed.Copy) }

// Kind is a kind of Store, and how the model is run on it.
type Kind struct {
	// Command runs the test, without environment variables.
	Command string
	// Histories is the number without TIDEMARK_MODEL_HISTORIES.
	Histories int
	// Limit takes out of a profile what the store does not have; nil for nothing.
	Limit func(*Profile)
	// Open returns a new store.
	Open func(t testing.TB, p Profile) Store
	// Bubble runs a history; nil for in the caller's goroutine. The in-memory store needs a
	// synctest bubble.
	Bubble func(t *testing.T, history func(t *testing.T))
	// RemovedWithin is the time after which nothing that was removed is delivered any more, as long
	// as the nodes reach the stream; 0 does not check it.
	RemovedWithin time.Duration
	// Parallel is how many histories run at once; 1 when zero.
	Parallel int
}
