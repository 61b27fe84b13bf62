package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Event is one stored event, as a Store returns it.
type Event struct {
	Seq     uint64    // position in the stream; rises; sequences may be missing
	Subject string    // where it was published
	Type    string    // set by the publisher; empty for none
	Data    []byte    // never changed after it was handed over
	Time    time.Time // when it was stored
	Trace   *Trace    // nil for nearly all
	// End reports that the event completes its subject: the publisher adds no more events to it.
	End bool
	// CloudEvent has the attributes of a message that was published as a CloudEvent; nil for others.
	CloudEvent *CloudEvent
	// Expires is when the stream deletes the event by its own lifetime (Nats-TTL); zero for
	// none. Follow sets it, Read need not.
	Expires time.Time
	// Deleted reports that there is no event: the sequences up to Seq that Follow has not yielded
	// are deleted. Only Follow yields it, where the stream holds nothing after them.
	Deleted bool
}

// State is a stream as its leader has it.
type State struct {
	Epoch    string // the incarnation; see Position
	FirstSeq uint64 // the oldest event still stored; LastSeq+1 when none is
	LastSeq  uint64 // the sequence that was given last; 0 when none ever was
	// LastTime is the time at which the event of LastSeq was stored. Zero is not known, and not stored any more.
	LastTime time.Time
	// Deleted counts the deleted sequences between FirstSeq and LastSeq. 0 proves that only retention
	// at the front can have taken anything.
	Deleted uint64
	// Created changes when the stream is created again, also where Epoch is configured and so
	// does not change. 0 is not known, as for a copy, whose sequences and events are its origin's.
	Created int64
	// Replicated reports that LastSeq may be a moment behind a sequence that a replica has delivered: a
	// replica applies what a majority has agreed on, and need not wait for the leader to do so
	// (measured with nats-server 2.15.2).
	Replicated bool
	// Readers are the consumers on the stream, of all nodes and others; 0 is
	// not known, too.
	Readers int
	// MaxPerSubject is how many events the stream keeps of each subject; 0 for all.
	MaxPerSubject int
	// MaxAge is how long the stream keeps an event; 0 without a limit.
	MaxAge time.Duration
	// Lifetimes reports that the stream deletes events at Event.Expires.
	Lifetimes bool
	// Time is the clock of the leader when it answered. Events were stored, and expire, by this
	// clock. Zero is not known.
	Time time.Time
	// Copy reports whether another stream gives this one its events, and may be ahead of it.
	Copy Copy
}

// Copy is the relation of a stream to its origin.
type Copy uint8

const (
	Original     Copy = iota // not a mirror
	CopyCaughtUp             // its origin has reported recently that there are no more events
	CopyBehind               // it lacks events, or its origin is out of reach
)

// Store is a stored stream: it can be read from a position, and followed. internal/jetstore keeps it
// in JetStream, feedtest in memory; both pass feedtest.TestStore.
//
// All methods may be called by many goroutines at once. They block until the store answers,
// and retry transient errors until ctx ends.
type Store interface {
	// State requests the state from the leader; that of a replica may be older.
	State(ctx context.Context) (State, error)

	// SeqAt returns the sequence of the first event stored at or after t, or LastSeq+1
	// when there is none.
	SeqAt(ctx context.Context, t time.Time) (uint64, error)

	// HasDeleted reports whether any sequence within from..to, both included, is not stored:
	// deleted from the inside of the stream, or trimmed at its front since the caller looked.
	// It may report true where it does not know.
	HasDeleted(ctx context.Context, from, to uint64) (bool, error)

	// CountSubjects returns how many subjects with stored events match filters, of which there is
	// at least one with wildcards. It may return more: a subject may count once for each filter
	// that matches it, and up to FewSubjects need no exact count. Where limit is above zero, any
	// number beyond it may stand for more.
	CountSubjects(ctx context.Context, filters []string, limit int) (int, error)

	// Last returns the latest stored event of a subject without wildcards, and false where there is
	// none. The leader answers. The event may lack Type and Data.
	Last(ctx context.Context, subject string) (ev Event, found bool, err error)

	// Count returns how many events are stored at and after a sequence. One replica answers, which
	// may be a moment behind the leader.
	Count(ctx context.Context, from uint64) (uint64, error)

	// Read opens a replay. The caller closes the Reader.
	Read(ctx context.Context, opts ReadOptions) (Reader, error)

	// Follow yields every event from opts.From on, in order and once, and waits for more
	// until ctx ends or the caller breaks. Sequences that are deleted are skipped; where
	// nothing is stored after them, an Event that is Deleted names the last one. It heals
	// itself: lost connections, consumers
	// and leaders are retried without a gap and without an error. It ends with a *LossError
	// where the store cannot continue at the next sequence; the caller decides where to
	// continue. Nothing that is published, whatever its headers and body, ends or stalls it.
	Follow(ctx context.Context, opts FollowOptions) iter.Seq2[Event, error]
}

// ReadOptions bound a replay.
type ReadOptions struct {
	From uint64 // the first sequence; at least 1
	To   uint64 // the last sequence; at most the LastSeq of a State seen before
	// Filters are subjects with wildcards, none of them a subset of another; empty means
	// everything.
	Filters []string
	// LastPerSubject yields only the latest event of each subject, in order of sequence.
	LastPerSubject bool
	// Subjects is how many subjects LastPerSubject is expected to match: the cost of the replay for the
	// store. 0 is not known.
	Subjects int
	// HeadersOnly yields events without their Data, which costs the network less. Such a replay
	// does not queue behind others.
	HeadersOnly bool
}

// Reader is one replay under way, with one owner.
type Reader interface {
	// Pending is how many events were to come when the replay was opened; 0 where the
	// number is not known. It may count events after ReadOptions.To.
	Pending() uint64

	// Request requests the next batch, of up to bytes, unless a request is under way. It does not block,
	// and reports whether one is: at the end of a replay there is nothing to request. A later batch is
	// as large where Request is not called again. Next without any Request reads as much as it likes.
	Request(bytes int) bool

	// Next blocks for the next events. It fails with a *LargeEventError where the next event is larger
	// than the bytes of Request; the next Request is then for that event alone. io.EOF reports that every event of From..To that
	// matches and is still stored has been returned, proved against the leader. A store that
	// stalls is retried until ctx ends. With io.EOF, Batch.State is set on the same terms:
	// it was requested after the last event of the replay was read.
	Next(ctx context.Context) (Batch, error)

	// Close gives up the consumer of the replay, without blocking on the store.
	Close()
}

// Batch is some events of a replay, in order.
type Batch struct {
	Events []Event
	// State was requested after Events were read. Events that it shows as trimmed or deleted beyond
	// the last event of the previous batch may be missing from Events; where it shows
	// none, Events are complete.
	State State
}

// FollowOptions configure Store.Follow.
type FollowOptions struct {
	From    uint64 // the first sequence; at least 1
	Epoch   string // the incarnation in which From has its meaning
	Created int64  // State.Created of that incarnation; 0 when it is not known
	// Read is an event before From that was read in that incarnation, the latest if possible;
	// Seq is 0 for none. Where the stream has another one in its place, it has lost its end
	// since, and Follow ends with a LossError that is Reused.
	Read Mark
	// Contact, if set, is called when the stream is reached (nil) and when it is out of reach (the reason);
	// repeats are possible. It runs on the follower's goroutine and must not block.
	Contact func(err error)
}

// Mark identifies an event. Where a sequence is used a second time, its event is stored at
// another time.
type Mark struct {
	Seq  uint64
	Time time.Time
}

// Reason is the reason of a gap. Clients receive the text.
type Reason string

const (
	Trimmed   Reason = "trimmed"   // retention or a purge passed the position
	NewEpoch  Reason = "epoch"     // the stream is another incarnation
	Future    Reason = "future"    // the position lies beyond the end of the stream
	Malformed Reason = "malformed" // the position cannot be read
	Possible  Reason = "possible"  // events were deleted in between; whether they matched cannot be known
)

// LossError ends Follow where the store cannot continue at From.
type LossError struct {
	Reason Reason
	From   uint64 // the sequence that was to come next
	State  State  // the stream as it is now
	// Reused reports that the stream lost its end within this incarnation, as a stream does that is restored
	// from a backup: sequences below From are used, or were used, a second time.
	Reused bool
	// Kept, with Reused, is a sequence up to which none was used twice; 0 where that is not
	// known of any.
	Kept uint64
}

func (e *LossError) Error() string {
	return fmt.Sprintf("cannot continue at sequence %d (%s): the stream %s holds %d to %d",
		e.From, e.Reason, e.State.Epoch, e.State.FirstSeq, e.State.LastSeq)
}

// LargeEventError reports that the next event of a replay is larger than the request.
type LargeEventError struct {
	Bytes int // no event of the stream is larger
}

func (e *LargeEventError) Error() string {
	return fmt.Sprintf("the next event is larger than the request; no event is larger than %d bytes", e.Bytes)
}

// ErrNoStream reports that the stream does not exist (any more).
var ErrNoStream = errors.New("the stream does not exist")
