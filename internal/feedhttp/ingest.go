package feedhttp

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/tidemark/tidemark/internal/backoff"
	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/pkg/sse"
)

// defaultEndOn is the data of the event that ends the streams of chat completions.
const defaultEndOn = "[DONE]"

const (
	// identityTTL is how long the identity of an event stream counts without another look at its token or key,
	// which may expire or be revoked during the stream.
	identityTTL = time.Second
	// ingestRest bounds the wait for the rest of a body that is not stored, and of its bytes.
	ingestRest      = 2 * time.Second
	ingestRestBytes = 256 << 10
)

// IngestResult is the answer for an event stream. A problem has it, too, where some of the events may be stored.
type IngestResult struct {
	Stream     string `json:"stream,omitempty"`
	Stored     int    `json:"stored"`               // events
	Duplicates int    `json:"duplicates,omitempty"` // events of an earlier request with the same key
	// FirstSeq, LastSeq and Position are places of stored events and of duplicates. Position is that of the last
	// one, as in PublishResult.
	FirstSeq uint64         `json:"first_seq,omitempty"`
	LastSeq  uint64         `json:"last_seq,omitempty"`
	Position ResultPosition `json:"position,omitzero"`
	// Ended reports that the last event completes the subject.
	Ended bool `json:"ended"`
}

// ingest stores the events of one body in their order. One event is in flight at a time: with several, an event that
// JetStream rejects would leave later ones stored, and a repeated request would put it behind them. So the stored
// events are a prefix of the body at any time, also after errors and repeats. A repeat of events that are older than the
// duplicate window of the stream would store them again behind later ones; see checkOrder.
type ingest struct {
	*publisher
	request  *http.Request
	body     *http.ResponseController
	identity auth.Identity
	checked  time.Time    // when identity was valid
	event    feed.Message // the attributes that all events share
	key      string       // of the request; the id of an event is the key and the number of the event
	endOn    string
	endAtEOF bool
	stopping context.Context

	read   int // events that were read
	last   feed.Ack
	result IngestResult
}

// isEventStream reports whether the body of a request is an event stream.
func isEventStream(header http.Header) bool {
	name, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && name == "text/event-stream"
}

// ingest stores the events of a request's body as they arrive, and answers when the body or the subject ends. field
// names what the subject comes from.
func (p *publisher) ingest(w http.ResponseWriter, r *http.Request, id auth.Identity, subj, field string, query publishQuery) {
	p.opts.Admission.ingests.open.Add(1)
	defer p.opts.Admission.ingests.open.Add(-1)
	in := &ingest{
		publisher: p, request: r, body: http.NewResponseController(w), identity: id, checked: time.Now(),
		endOn: defaultEndOn, endAtEOF: query.end, stopping: p.opts.Admission.ingests.stopping,
	}
	if query.hasEndOn {
		in.endOn = query.endOn
	}
	err := in.prepare(subj, field)
	if err == nil {
		err = in.store()
	}
	if err == nil && in.skipRest() {
		w.Header().Del("Connection") // of answerAtOnce
	} else {
		_ = in.body.SetReadDeadline(time.Now().Add(ingestRest))
	}
	p.opts.Admission.ingests.ended[ingestOutcomeOf(err, in.result.Ended)].Add(1)
	if err != nil {
		p.refuseIngest(w, in, err)
		return
	}
	writeJSON(w, in.result)
}

// prepare checks the request before its body is read.
func (in *ingest) prepare(subj, field string) error {
	msg, err := fromHeader(in.request.Header)
	if err != nil {
		return err
	}
	delete(msg.Header, "Content-Type") // that of the body
	for name := range msg.Header {
		return &fieldError{field: name, reason: "is an attribute of one CloudEvent; the body is a stream of events"}
	}
	msg.Subject = subj
	if err := in.check(in.request.Context(), msg, 0, false); err != nil {
		return in.pathError(subj, renameFields(err, headerFields(field)))
	}
	if in.key = msg.ID; in.key == "" {
		in.key = rand.Text() // a second attempt to store an event is then harmless
	}
	msg.ID, msg.Header = "", nil
	in.event = msg
	return in.mayPublish()
}

// store reads the body to the end of the subject, or to its own. The error is nil for a body that ended cleanly.
func (in *ingest) store() error {
	defer in.endReadsOnStop()()
	events := sse.NewDecoder(in.request.Body)
	events.MaxEventSize = int(in.opts.MaxBytes)
	events.OnComment = func([]byte) { in.extend() }
	for {
		in.extend()
		ev, err := events.Next()
		if errors.Is(err, io.EOF) {
			_ = in.body.SetReadDeadline(time.Time{}) // else the request's context would end with it
			return in.atEOF(events)
		}
		if err != nil {
			return in.readError(err)
		}
		msg := in.event
		if msg.Data = bytes.Clone(ev.Data); ev.Type != "" {
			msg.Type = ev.Type
		}
		msg.End = in.endOn != "" && string(ev.Data) == in.endOn
		if err := in.storeEvent(msg); err != nil || msg.End {
			return err
		}
	}
}

// extend gives the client IdleTimeout for the next event or comment. Bytes alone do not extend it: a client that
// sends a line of one byte a minute would keep a goroutine for as long as it likes.
func (in *ingest) extend() {
	_ = in.body.SetReadDeadline(time.Now().Add(in.opts.IdleTimeout))
	if in.stopping.Err() != nil {
		_ = in.body.SetReadDeadline(time.Now())
	}
}

// endReadsOnStop makes reads of the body fail when the node stops, until release. After release the connection may
// serve another request.
func (in *ingest) endReadsOnStop() (release func()) {
	var mu sync.Mutex
	released := false
	cancel := context.AfterFunc(in.stopping, func() {
		mu.Lock()
		defer mu.Unlock()
		if !released {
			_ = in.body.SetReadDeadline(time.Now())
		}
	})
	return func() {
		cancel()
		mu.Lock()
		defer mu.Unlock()
		released = true
	}
}

// errForeignBody is of a body such as the JSON with which a model reports an error.
var errForeignBody = &streamError{problem.InvalidEvent, "the body is not an event stream: no line has a field such as data:"}

// atEOF handles the end of a body, which completes the subject only if the request has ?end=1: a pipe also ends cleanly
// when its program was killed.
func (in *ingest) atEOF(events *sse.Decoder) error {
	if events.Foreign() {
		return errForeignBody
	}
	if events.Incomplete() {
		return &streamError{problem.BodyBroken, "the body ends within an event; an empty line ends each event"}
	}
	if !in.endAtEOF {
		return nil
	}
	msg := in.event
	msg.End = true
	return in.storeEvent(msg)
}

func (in *ingest) readError(err error) error {
	if large, ok := errors.AsType[*sse.TooLargeError](err); ok {
		return &streamError{problem.EventTooLarge, fmt.Sprintf("event %d is larger than %d bytes (publish.max_bytes)", in.read, large.Limit)}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && in.stopping.Err() != nil {
		return &streamError{problem.Unavailable, "this node is stopping; send the body again, with the same Idempotency-Key"}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &streamError{problem.BodyTimeout, fmt.Sprintf("no event and no comment arrived for %v (publish.idle_timeout)", in.opts.IdleTimeout)}
	}
	return &streamError{problem.BodyBroken, "the body broke off: " + err.Error()}
}

// storeEvent checks and stores the next event.
func (in *ingest) storeEvent(msg feed.Message) error {
	number := in.read
	in.read++
	if !utf8.Valid(msg.Data) {
		return &fieldError{field: fmt.Sprintf("[%d].data", number), reason: "is not UTF-8; send other data in base64"}
	}
	if err := in.check(in.request.Context(), msg, number, true); err != nil {
		return err
	}
	if err := in.mayPublish(); err != nil {
		return err
	}
	if number > 0 { // authorize counted one
		if err := in.opts.Admission.awaitPublish(in.request); err != nil {
			return err
		}
	}
	msg.ID = scopedID(string(in.identity.Kind), in.identity.Publisher, msg.Subject, in.key+":"+strconv.Itoa(number))
	res, err := in.publishUntilStored(msg)
	if err != nil {
		return err
	}
	if err := in.checkOrder(number, res.Ack); err != nil {
		return err
	}
	in.last = res.Ack
	in.count(res, msg.End)
	return nil
}

// checkOrder refuses an event that an earlier request has stored before events of this one: their ids had left the
// duplicate window of the stream, so that this request has stored them again. A duplicate that follows them is of another
// request with the same key at this moment, and in order.
func (in *ingest) checkOrder(number int, ack feed.Ack) error {
	last := in.last
	replaced := ack.Position.Epoch != last.Position.Epoch && ack.Position.Epoch != "" && last.Position.Epoch != ""
	if ack.Stream != last.Stream || replaced || ack.Position.Seq >= last.Position.Seq {
		return nil
	}
	window := "the duplicate window"
	if in.opts.DuplicateWindow != nil {
		ctx, cancel := context.WithTimeout(in.request.Context(), in.opts.Timeout)
		defer cancel()
		if d := in.opts.DuplicateWindow(ctx, ack.Stream); d > 0 {
			window += fmt.Sprintf(" (%v)", d)
		}
	}
	return &streamError{problem.Conflict, fmt.Sprintf("event %d is a duplicate of sequence %d, which is before sequence %d of event %d: earlier events of this key are older than %s of stream %s, and this request has stored them again; "+
		"use a new key and another subject, or set a longer duplicate_window before the next run", number, ack.Position.Seq, last.Position.Seq, number-1, window, ack.Stream)}
}

// mayPublish checks the right to publish to the subject, and the identity again where that is due.
func (in *ingest) mayPublish() error {
	if in.opts.Identify == nil {
		return nil
	}
	if time.Since(in.checked) > identityTTL {
		id, err := in.opts.Identify(in.request)
		if err != nil {
			return err
		}
		in.identity.Publish, in.checked = id.Publish, time.Now()
	}
	if !in.identity.MayPublish(in.event.Subject) {
		return publishForbidden(in.event.Subject)
	}
	return nil
}

// publishUntilStored repeats an event, while the store is not available, for RetryTimeout: the source of the body
// can often not be repeated. The id keeps a repeat from storing the event twice.
func (in *ingest) publishUntilStored(msg feed.Message) (feed.Result, error) {
	ctx := context.WithoutCancel(in.request.Context()) // the event has arrived, also if its client is gone
	giveUp := time.Now().Add(in.opts.RetryTimeout)
	unknown := false // an earlier attempt may have stored it
	for attempt := 0; ; attempt++ {
		if attempt > 0 {
			_ = backoff.Pause(ctx, backoff.Delay(attempt), nil)
		}
		res := in.publishOnce(ctx, msg)
		temporary := errors.Is(res.Err, feed.ErrUnavailable) || errors.Is(res.Err, context.DeadlineExceeded)
		switch {
		case res.Err == nil:
			res.Ack.Duplicate = res.Ack.Duplicate && !unknown
			return res, nil
		case !errors.Is(res.Err, feed.ErrNotStored):
			unknown = true
		case unknown:
			res.Err = fmt.Errorf("%w: an earlier attempt had no answer, and the last one failed: %s", feed.ErrUnavailable, res.Err.Error())
		}
		if !temporary || time.Now().After(giveUp) {
			return res, &storeError{res.Err}
		}
	}
}

func (in *ingest) publishOnce(ctx context.Context, msg feed.Message) feed.Result {
	ctx, cancel := context.WithTimeout(ctx, in.opts.Timeout)
	defer cancel()
	return in.opts.Publisher.Publish(ctx, msg)[0]
}

func (in *ingest) count(res feed.Result, ended bool) {
	one := resultOf(res)
	in.result.Stream, in.result.LastSeq, in.result.Position = one.Stream, one.Seq, one.Position
	if in.result.FirstSeq == 0 {
		in.result.FirstSeq = one.Seq
	}
	if in.result.Ended = ended; one.Duplicate {
		in.result.Duplicates++
	} else {
		in.result.Stored++
	}
}

// skipRest reads the body after the end of the subject for a moment, and reports whether the body is complete.
// Most clients read the answer after they have sent all of the body.
func (in *ingest) skipRest() (complete bool) {
	_ = in.body.SetReadDeadline(time.Now().Add(ingestRest))
	n, err := io.CopyN(io.Discard, in.request.Body, ingestRestBytes)
	if n < ingestRestBytes && errors.Is(err, io.EOF) {
		_ = in.body.SetReadDeadline(time.Time{})
		return true
	}
	return false
}

// answerAtOnce makes net/http send the answer to an event stream before the body ends: it closes the connection then,
// and reads the rest of the body first otherwise. HTTP/2 does not wait.
func answerAtOnce(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && isEventStream(r.Header) {
		w.Header().Set("Connection", "close")
	}
}

// streamError is a reason to stop an event stream.
type streamError struct {
	code   problem.Code
	reason string
}

func (e *streamError) Error() string { return e.reason }
func (e *streamError) Unwrap() error { return e.code }

// storeError is an error of the store for an event.
type storeError struct{ error }

func (e *storeError) Unwrap() error { return e.error }

// refuseIngest answers and logs an event stream that was not stored to its end.
func (p *publisher) refuseIngest(w http.ResponseWriter, in *ingest, err error) {
	report(p.opts.Refused, p.opts.Admission, in.request, in.identity, err)
	answer := requestProblem(err)
	if failed, ok := errors.AsType[*storeError](err); ok {
		answer = storeProblem(failed.error)
	}
	if in.event.Subject != "" { // the request is valid
		answer.Detail += fmt.Sprintf("; %s stored before it, and the subject is open", eventsAre(in.result.Stored+in.result.Duplicates))
		answer.Ingest = in.result
		fields := []slog.Attr{slog.Any("error", err), slog.String("subject", in.event.Subject), slog.Int("stored", in.result.Stored), slog.Int("duplicates", in.result.Duplicates)}
		p.opts.Logger.LogAttrs(in.request.Context(), slog.LevelWarn, "publish: event stream stopped; its subject stays open", withTrace(fields, traceIDOf(traceParent(in.request.Header)))...)
	}
	problem.Write(w, answer)
}

// eventsAre begins a sentence about n events.
func eventsAre(n int) string {
	if n == 1 {
		return "1 event is"
	}
	return strconv.Itoa(n) + " events are"
}
