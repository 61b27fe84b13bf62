package feed

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Event is one stored event as a Log gives it.
type Event struct {
	Seq     uint64    // position in the stream; rises, holes are possible
	Subject string    // where it was published
	Type    string    // what the publisher named it; empty for none
	Data    []byte    // never changed after it was handed over
	Time    time.Time // when it was stored
	Trace   *Trace    // nil for nearly all
	// Expires is when the stream deletes the event by its own lifetime (Nats-TTL); zero for
	// none. Follow sets it, Read need not.
	Expires time.Time
	// Deleted says that this is no event: the sequences up to Seq that Follow has not yielded
	// are deleted. Only Follow yields it, where the stream holds nothing after them.
	Deleted bool
}

// State is a stream as its leader has it.
type State struct {
	Epoch    string // the incarnation; see Position
	FirstSeq uint64 // the oldest event still stored; LastSeq+1 when none is
	LastSeq  uint64 // the sequence that was given last; 0 when none ever was
	// Deleted counts the holes between FirstSeq and LastSeq. 0 proves that only retention
	// at the front can have taken anything.
	Deleted uint64
	// Born changes when the stream is created anew, also where somebody chose Epoch and so
	// keeps it. 0 is not known, as for a copy, whose sequences and events are its origin's.
	Born int64
	// Replicated says that LastSeq may be a moment behind what a replica has given already: a
	// replica applies what most have agreed on, and need not wait for the leader to do so
	// (measured with nats-server 2.15.2).
	Replicated bool
	// Readers are the consumers that the log has on the stream, of all nodes and others; 0 is
	// not known, too.
	Readers int
	// MaxPerSubject is how many events the stream keeps of each subject; 0 is no limit.
	MaxPerSubject int
	// MaxAge is how long the stream keeps an event; 0 is no limit.
	MaxAge time.Duration
	// Lifetimes says that the stream deletes events at Event.Expires.
	Lifetimes bool
	// Time is the clock of the leader when it answered. Events were stored, and expire, by this
	// clock. Zero is not known.
	Time time.Time
	// Copy says whether another stream gives this one its events, and may be ahead of it.
	Copy Copy
}

// sameBirth reports that nothing speaks for two incarnations.
func sameBirth(a, b int64) bool { return a == 0 || b == 0 || a == b }

// Copy says how a stream stands to the one that it is a copy (a mirror) of.
type Copy uint8

const (
	Original   Copy = iota // it is no copy
	CopyLevel              // its origin said of late that there is no more
	CopyBehind             // it has not everything, or its origin is out of reach
)

// Log is a stored stream: it can be read from a position, and followed. internal/jetstore keeps it
// in JetStream, feedtest in memory; both pass feedtest.TestStore.
//
// All methods may be called by many goroutines at once. They block until the log answers,
// and retry what is transient until ctx ends.
type Store interface {
	// State asks the leader; what a replica holds may be older.
	State(ctx context.Context) (State, error)

	// SeqAt returns the sequence of the first event stored at or after t, or LastSeq+1
	// when there is none.
	SeqAt(ctx context.Context, t time.Time) (uint64, error)

	// HasHoles reports whether any sequence within from..to, both included, is not stored:
	// deleted from the inside of the stream, or trimmed at its front since the caller looked.
	// It may report true where it does not know.
	HasHoles(ctx context.Context, from, to uint64) (bool, error)

	// CountSubjects returns how many subjects with stored events match filters, of which there is
	// at least one with wildcards. It may return more: a subject may count once for each filter
	// that matches it, and up to FewSubjects need no exact count. Where limit is above zero, any
	// number beyond it may stand for more.
	CountSubjects(ctx context.Context, filters []string, limit int) (int, error)

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
	// where the log cannot continue at the next sequence; the caller decides where to go
	// on. Nothing that is published, whatever its headers and body, ends or stalls it.
	Follow(ctx context.Context, opts FollowOptions) iter.Seq2[Event, error]
}

// ReadOptions bound a replay.
type ReadOptions struct {
	From uint64 // the first sequence wanted; at least 1
	To   uint64 // the last sequence wanted; at most the LastSeq of a State seen before
	// Filters are subjects with wildcards, none of them a subset of another; empty means
	// everything.
	Filters []string
	// LastPerSubject yields only the latest event of each subject, in order of sequence.
	LastPerSubject bool
	// Subjects is how many subjects LastPerSubject is expected to match: what the replay costs the
	// log. 0 is not known.
	Subjects int
	// HeadersOnly yields events without their Data, which costs the network less. Such a replay
	// does not queue behind others.
	HeadersOnly bool
}

// Reader is one replay under way, with one owner.
type Reader interface {
	// Pending is how many events were to come when the replay was opened; 0 when the log
	// could not tell. It may count events after ReadOptions.To.
	Pending() uint64

	// Request requests the next batch, of up to bytes, unless a request is under way. It does not block,
	// and reports whether one is: at the end of a replay there is nothing to request. A later batch is
	// as large where Request is not called again. Next without any Request reads as much as it likes.
	Request(bytes int) bool

	// Next blocks for the next events. It fails with a *LargeEventError where the next event is larger
	// than what Request has named; the next Request is then for that event alone. io.EOF says that every event of From..To that
	// matches and is still stored has been returned, proved against the leader. A log that
	// stalls is retried until ctx ends. With io.EOF, Batch.State is set on the same terms:
	// it was asked for after the last event of the replay was read.
	Next(ctx context.Context) (Batch, error)

	// Close gives up what the replay holds in the log (a consumer), without blocking on it.
	Close()
}

// Batch is some events of a replay, in order.
type Batch struct {
	Events []Event
	// State was asked for after Events were read. What it calls trimmed or deleted beyond
	// the last event of the previous batch may be missing from Events; where it shows
	// nothing of the kind, Events are complete.
	State State
}

// FollowOptions say where a Log is followed from.
type FollowOptions struct {
	From  uint64 // the first sequence wanted; at least 1
	Epoch string // the incarnation in which From has its meaning
	Born  int64  // State.Born of that incarnation; 0 when it is not known
	// Read is an event before From that was read in that incarnation, the latest if possible;
	// Seq is 0 for none. Where the stream has another one in its place, it has lost its end
	// since, and Follow ends with a LossError that is Again.
	Read Mark
	// Contact, if set, is called when the log is reached (nil) and when it is lost (why);
	// repeats are possible. It runs on the follower's goroutine and must not block.
	Contact func(err error)
}

// Mark identifies an event that was read: a sequence that is given a second time is given to an
// event that is stored at another time.
type Mark struct {
	Seq  uint64
	Time time.Time
}

// Reason says why something cannot be redelivered. The text goes to clients.
type Reason string

const (
	Trimmed   Reason = "trimmed"   // retention or a purge passed the position
	NewEpoch  Reason = "epoch"     // the stream is another incarnation
	Future    Reason = "future"    // the position lies beyond the end of the stream
	Malformed Reason = "malformed" // the position cannot be read
	Possible  Reason = "possible"  // events were deleted in between; whether they matched cannot be known
)

// LossError ends Follow where the log cannot go on at From.
type LossError struct {
	Reason Reason
	From   uint64 // the sequence that was to come next
	State  State  // the stream as it is now
	// Again says that the stream lost its end within this incarnation, as one that was restored
	// from a backup does: numbers below From are given, or were given, a second time.
	Again bool
	// Kept, with Again, is a sequence up to which nothing was given twice; 0 where that is not
	// known of any.
	Kept uint64
}

func (e *LossError) Error() string {
	return fmt.Sprintf("cannot continue at sequence %d (%s): the stream %s holds %d to %d",
		e.From, e.Reason, e.State.Epoch, e.State.FirstSeq, e.State.LastSeq)
}

// LargeEventError reports that the next event of a replay is larger than what was requested.
type LargeEventError struct {
	Bytes int // no event of the stream is larger
}

func (e *LargeEventError) Error() string {
	return fmt.Sprintf("the next event is larger than what was requested; none is larger than %d bytes", e.Bytes)
}

// ErrNoStream reports that the stream does not exist (any more).
var ErrNoStream = errors.New("the stream does not exist")
