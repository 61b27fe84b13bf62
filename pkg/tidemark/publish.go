package tidemark

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tidemark/tidemark/internal/delivery"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/subject"
)

// Errors of Publish, by [errors.Is].
var (
	// ErrNotStored is definite: this publish has stored nothing. Without it, as after a timeout, the event may be
	// stored; publishing it again with the same ID cannot store it twice within the duplicate window of the
	// stream.
	ErrNotStored = feed.ErrNotStored
	// ErrUnavailable passes by itself: JetStream is not reachable, or did not answer.
	ErrUnavailable = feed.ErrUnavailable
)

// Message is an event to be published.
type Message struct {
	// Subject has no wildcards, and connections can receive it.
	Subject string
	// User takes the place of Subject: the event goes to the one subject of Options.Subjects that has
	// {user} as its only variable.
	User string
	// Type is the event's name in browsers ("message" when empty); up to 128 bytes, not "error", "open"
	// or below "tidemark.".
	Type string
	Data []byte // up to the limit of the NATS server, 1 MiB by default
	// ID makes repeats harmless: the stream stores it once within its duplicate window, two minutes
	// by default. Up to 256 bytes; empty for none.
	ID string
	// TTL is how long the stream keeps the event, in whole seconds; zero is as long as others. The
	// stream must have allow_msg_ttl.
	TTL time.Duration
	// End completes Subject: clients that read until the end stop after this event. A later event of the subject
	// opens it again. The event may have no data.
	End bool
	// Header has further headers for NATS consumers, such as Content-Type.
	Header map[string]string
}

// Ack is the place of a stored event.
type Ack struct {
	// Position is the id by which clients receive the event.
	Position string
	Sequence uint64 // in the stream
	// Duplicate reports that an event with the same ID was stored before, at Position.
	Duplicate bool
}

// Result is the outcome of one event of PublishAll.
type Result struct {
	Ack
	Err error
}

// Publish stores an event. It blocks until JetStream has acknowledged it or ctx ends, for five seconds at most. It
// refuses an event that no connection can receive ([ErrNotStored]) or that is not valid; the error names the
// field.
func (f *Feed) Publish(ctx context.Context, m Message) (Ack, error) {
	r := f.PublishAll(ctx, m)[0]
	return r.Ack, r.Err
}

// PublishAll stores events in their order and returns one Result for each, in order. All are sent
// before the first is waited for; an event that fails does not keep the following from being stored.
// It blocks as Publish does.
func (f *Feed) PublishAll(ctx context.Context, messages ...Message) []Result {
	results := make([]Result, len(messages))
	var out []feed.Message
	var places []int
	for i, m := range messages {
		msg, err := f.message(ctx, m)
		if err != nil {
			results[i].Err = fmt.Errorf("tidemark: publish: %w", err)
			continue
		}
		out, places = append(out, msg), append(places, i)
	}
	for i, r := range f.store.publisher.Publish(ctx, out...) {
		if r.Err != nil {
			results[places[i]].Err = fmt.Errorf("tidemark: publish to %s: %w", out[i].Subject, r.Err)
			continue
		}
		results[places[i]].Ack = Ack{Position: r.Ack.Position.String(), Sequence: r.Ack.Position.Seq, Duplicate: r.Ack.Duplicate}
	}
	return results
}

// message checks a message. Errors are ErrNotStored.
func (f *Feed) message(ctx context.Context, m Message) (feed.Message, error) {
	msg := feed.Message{Subject: m.Subject, Type: m.Type, Data: m.Data, ID: m.ID, TTL: m.TTL, End: m.End, Header: m.Header}
	if m.User != "" {
		subject, err := f.userSubject(m)
		if err != nil {
			return msg, notStored(err)
		}
		msg.Subject = subject
	}
	if err := msg.Validate(); err != nil {
		return msg, err
	}
	err := f.store.accept(ctx, msg.Subject)
	if err == nil {
		return msg, nil
	}
	if refused, ok := errors.AsType[*delivery.Error](err); ok {
		err = fmt.Errorf("subject: no client can receive %q; publish to one of Options.Subjects or Options.Allow (%s)", refused.Subject, strings.Join(refused.Allowed, ", "))
	}
	return msg, notStored(err)
}

func (f *Feed) userSubject(m Message) (string, error) {
	if m.Subject != "" {
		return "", errors.New("user: set Subject or User, not both")
	}
	t, err := subject.UserTemplate(f.config.selection.Defaults)
	if err != nil {
		return "", fmt.Errorf("user: %w", err)
	}
	subject, _, err := t.Expand(map[string]string{"user": m.User})
	if err != nil {
		return "", fmt.Errorf("user: %w", err)
	}
	return subject, nil
}

func notStored(err error) error { return fmt.Errorf("%w (%w)", err, ErrNotStored) }
