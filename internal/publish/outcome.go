package publish

import (
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/feed"
)

// outcome is the meaning of an error of JetStream for the message that it answers. The zero value
// is for all errors without a definite meaning.
type outcome int

const (
	unknownOutcome outcome = iota // it may be stored
	inProcess                     // another message with its ID is being stored
	notNow                        // not stored; the same publish may succeed later
	full                          // not stored: no room
	tooLarge                      // not stored
	rejected                      // not stored: the stream takes no such message
	noTTL                         // not stored: the message has a TTL, which the stream does not allow
	foreign                       // not stored: the subject belongs to another stream than expected
)

// outcomes has every error with which nats-server 2.15 answers a publish, by the codes
// of its errors.json. A code is definite here only where the server checks the condition before
// it stores or proposes the message, or where all replicas skip the message. Codes that are not
// listed are unknownOutcome.
var outcomes = map[jetstream.ErrorCode]outcome{
	10158: inProcess, // duplicate message id is in process

	10039: notNow, // JetStream not enabled for account
	10076: notNow, // JetStream not enabled
	10120: notNow, // no JetStream default or applicable tiered limit present
	10163: notNow, // expected last sequence per subject temporarily unavailable
	10167: notNow, // too many requests: the stream's queue of messages is full

	10002: full, // resource limits exceeded for account
	10023: full, // insufficient resources: the server's memory or storage
	10028: full, // insufficient memory resources available
	10047: full, // insufficient storage resources available

	10054: tooLarge, // message size exceeds maximum allowed
	10097: tooLarge, // header size exceeds maximum allowed of 64k

	10109: rejected, // invalid operation on sealed stream
	10060: foreign,  // expected stream does not match
	10070: rejected, // wrong last msg ID
	10071: rejected, // wrong last sequence
	10164: rejected, // wrong last sequence
	10193: rejected, // missing sequence for expected last sequence per subject
	10111: rejected, // rollup not permitted, or not valid
	10227: rejected, // message stream source header is not allowed
	10165: rejected, // invalid per-message TTL
	10166: noTTL,    // per-message TTL is disabled
	10168: rejected, // message counters is disabled
	10169: rejected, // message counter increment is missing
	10170: rejected, // message counter has payload
	10171: rejected, // message counter increment is invalid
	10172: rejected, // message counter is broken
	10188: rejected, // message schedules is disabled
	10189: rejected, // message schedules pattern is invalid
	10190: rejected, // message schedules target is invalid
	10191: rejected, // message schedules invalid per-message TTL
	10192: rejected, // message schedules invalid rollup
	10203: rejected, // message schedules source is invalid
	10212: rejected, // message schedules invalid scheduler
	10223: rejected, // message schedules time zone is invalid

	10077: unknownOutcome, // storing failed: storeFailures has the causes that are definite
	10063: unknownOutcome, // expected stream sequence does not match: the replica has lost its place

	// Answers to batches are about several messages. The Publisher sends none.
	10174: unknownOutcome, 10175: unknownOutcome, 10176: unknownOutcome, 10177: unknownOutcome, 10179: unknownOutcome,
	10185: unknownOutcome, 10199: unknownOutcome, 10200: unknownOutcome, 10201: unknownOutcome, 10205: unknownOutcome,
	10206: unknownOutcome, 10207: unknownOutcome, 10208: unknownOutcome, 10210: unknownOutcome, 10211: unknownOutcome,
}

// errStoreFailed has several causes, which only the text of the answer distinguishes.
const errStoreFailed = 10077

// storeFailures are the limits among them, from the server's store.go.
var storeFailures = map[string]outcome{
	"maximum messages exceeded":             full,
	"maximum bytes exceeded":                full,
	"maximum messages per subject exceeded": full,
	"message too large":                     tooLarge,
}

func outcomeOf(err *jetstream.APIError) outcome {
	if err.ErrorCode == errStoreFailed {
		return storeFailures[err.Description]
	}
	return outcomes[err.ErrorCode]
}

// explain wraps err in the errors of feed with the same meaning.
func (o outcome) explain(subject string, err error) error {
	switch o {
	case inProcess:
		return fmt.Errorf("%w: publish to %q: %w: %w", feed.ErrUnavailable, subject, errInProcess, err)
	case notNow:
		return fmt.Errorf("%w, and %w: publish to %q: %w", feed.ErrUnavailable, feed.ErrNotStored, subject, err)
	case full:
		return fmt.Errorf("%w: publish to %q: %w", feed.ErrFull, subject, err)
	case tooLarge:
		return fmt.Errorf("%w: %w", feed.ErrTooLarge, err)
	case noTTL:
		return fmt.Errorf("%w: publish to %q: %w; set allow_msg_ttl of the stream, or leave the lifetime (Nats-TTL) out", feed.ErrRejected, subject, err)
	case foreign:
		return fmt.Errorf("%w: a stream that no feed reads captures %q: take the subject out of that stream, or let a feed read it: %w", feed.ErrRejected, subject, err)
	case rejected:
		return fmt.Errorf("%w: publish to %q: %w", feed.ErrRejected, subject, err)
	}
	return fmt.Errorf("%w: publish to %q: %w", feed.ErrUnavailable, subject, err)
}
