package feedhttp

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/subject"
	"github.com/tidemark/tidemark/pkg/auth"
)

// PublishOptions configure Publish and SendMessage. Publisher is needed.
type PublishOptions struct {
	Publisher feed.Publisher
	// Identify says who publishes, and where it may; nil lets everybody publish everywhere.
	Identify auth.Source
	// Accept returns why a subject may not be published, such as that it would reach no client. The
	// publisher receives the text with 422. Nil accepts every subject that some stream captures.
	Accept func(ctx context.Context, subject string) error
	// Templates are the subjects of the feeds. "user" stands for the one that has {user} as its
	// only variable; see subject.UserTemplate.
	Templates []subject.Template
	// MaxBytes bounds a request's body; 1 MiB when zero.
	MaxBytes int64
	// MaxBatch bounds the events of one request; 1000 when zero.
	MaxBatch int
	// Timeout bounds the wait for acknowledgements; 5 s when zero.
	Timeout time.Duration
	// BodyTimeout bounds the time that a request's body takes to come; 30 s when zero.
	BodyTimeout time.Duration
	// Admission bounds how fast events come; nil bounds nothing.
	Admission *Admission
	// Refused receives each request that is refused for its identity or for a limit. It must not
	// block. Nil costs nothing.
	Refused func(RefusedRequest)
	Logger  *slog.Logger // nil discards
}

func (o PublishOptions) withDefaults() PublishOptions {
	o.MaxBytes = cmp.Or(o.MaxBytes, 1<<20)
	o.MaxBatch = cmp.Or(o.MaxBatch, 1000)
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.BodyTimeout = cmp.Or(o.BodyTimeout, 30*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// PublishRequest is one event of POST /publish.
type PublishRequest struct {
	Subject string `json:"subject"`
	// User takes the place of Subject: the event goes to the subject of that user.
	User  recipient `json:"user,omitzero"`
	Event string    `json:"event"`
	// Data is any JSON. A string goes out as its text, anything else as JSON.
	Data json.RawMessage `json:"data"`
	ID   string          `json:"id"`
}

// decode reads the next event. Fields that are not known, also in other letters, and fields that are
// there twice are refused.
func (r *PublishRequest) decode(dec *json.Decoder) error {
	return decodeFields(dec, jsonField{"subject", (*text)(&r.Subject)}, jsonField{"user", &r.User},
		jsonField{"event", (*text)(&r.Event)}, jsonField{"data", &r.Data}, jsonField{"id", (*text)(&r.ID)})
}

// PublishResult is what became of one event.
type PublishResult struct {
	Stream string `json:"stream,omitempty"`
	Seq    uint64 `json:"seq,omitempty"`
	// Position is JSON null where clients receive the event from a stream that sources Stream: it
	// has no position there yet.
	Position  ResultPosition `json:"position,omitzero"`
	Duplicate bool           `json:"duplicate,omitempty"`
	Error     string         `json:"error,omitempty"`
	// Outcome is set with Error.
	Outcome Outcome `json:"outcome,omitempty"`
}

// ResultPosition is the position of a stored event; the zero value is that of an event that is
// not stored.
type ResultPosition struct {
	Text    string
	Unknown bool // Text is empty, and the event is stored
}

// MarshalJSON returns a string, or null for a position that is not known.
func (p ResultPosition) MarshalJSON() ([]byte, error) {
	if p.Unknown {
		return []byte("null"), nil
	}
	return json.Marshal(p.Text)
}

// UnmarshalJSON reads what MarshalJSON returns.
func (p *ResultPosition) UnmarshalJSON(b []byte) error {
	*p = ResultPosition{Unknown: string(b) == "null"}
	return json.Unmarshal(b, &p.Text)
}

// publisher is what Publish, PublishBody and SendMessage share.
type publisher struct{ opts PublishOptions }

// Publish stores the events of POST requests: one PublishRequest or an array of them. It
// answers once all are acknowledged, with a PublishResult or an array. With ?user= the body is
// the data of one event for that user.
//
// A request that holds anything invalid is refused whole. Where the store fails in the
// middle of an array, the problem tells what became of each.
type Publish struct{ publisher }

// NewPublish returns the handler of POST /publish.
func NewPublish(opts PublishOptions) *Publish { return &Publish{publisher{opts.withDefaults()}} }

func (h *Publish) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, ok := h.enter(w, r)
	if !ok {
		return
	}
	msgs, isArray, err := h.events(w, r)
	h.finish(w, r, id, msgs, isArray, err)
}

// finish stores the messages of a request, or answers with err, the error of reading it.
func (p *publisher) finish(w http.ResponseWriter, r *http.Request, id auth.Identity, msgs []feed.Message, isArray bool, err error) {
	if err != nil {
		WriteProblem(w, problemOf(err))
		return
	}
	if err := p.allow(id, msgs...); err != nil {
		p.report(r, id, err)
		Refuse(w, err)
		return
	}
	if p.admit(w, r, len(msgs)-1) {
		scopeIDs(id, msgs)
		p.store(w, r, msgs, isArray)
	}
}

// events reads a request. Errors are for problemOf.
func (h *Publish) events(w http.ResponseWriter, r *http.Request) (msgs []feed.Message, isArray bool, err error) {
	user, named, err := queryUser(r)
	if err != nil {
		return nil, false, err
	}
	if named {
		msgs, err = h.toUser(w, r, user)
		return msgs, false, err
	}
	body, err := h.read(w, r)
	if err != nil {
		return nil, false, err
	}
	requests, isArray, err := decode(body, h.opts.MaxBatch)
	if err != nil {
		return nil, isArray, err
	}
	msgs, err = h.messages(r.Context(), requests, isArray, r.Header.Get("Idempotency-Key"))
	return msgs, isArray, err
}

// enter asks what there is to ask before the body is read: a stranger's is not worth the
// memory. It answers a refusal itself.
func (p *publisher) enter(w http.ResponseWriter, r *http.Request) (id auth.Identity, ok bool) {
	if r.Method != http.MethodPost {
		refuseMethod(w, r, "POST, OPTIONS")
		return id, false
	}
	if !p.admit(w, r, 1) {
		return id, false
	}
	id, err := p.identify(r)
	if err != nil {
		p.report(r, id, err)
		Refuse(w, err)
		return id, false
	}
	return id, true
}

func (p *publisher) report(r *http.Request, id auth.Identity, err error) {
	report(p.opts.Refused, p.opts.Admission, r, id, err)
}

func (p *publisher) identify(r *http.Request) (auth.Identity, error) {
	if p.opts.Identify == nil {
		return auth.Identity{}, nil
	}
	return p.opts.Identify(r)
}

// allow refuses a request that holds a message which the identity may not publish.
func (p *publisher) allow(id auth.Identity, msgs ...feed.Message) error {
	if p.opts.Identify == nil {
		return nil
	}
	for _, m := range msgs {
		if !id.MayPublish(m.Subject) {
			return &auth.Error{Status: http.StatusForbidden, Detail: fmt.Sprintf("the key or token does not allow to publish to %q", m.Subject)}
		}
	}
	return nil
}

// fieldError is a wrong part of a body.
type fieldError struct {
	field  string
	reason string
	status int // of the answer; 400 when zero
}

func (e *fieldError) Error() string { return e.field + ": " + e.reason }

func (p *publisher) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := p.readBody(w, http.MaxBytesReader(w, r.Body, p.opts.MaxBytes))
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, errors.New(`the body is empty; send JSON such as {"subject":"notifications.broadcast","data":"hi"}`)
	}
	return body, checkText(body)
}

func checkText(body []byte) error {
	if !utf8.Valid(body) {
		// The decoder would replace what it cannot read, also in subjects.
		return errors.New("the body is not UTF-8; send other data in base64")
	}
	return nil
}

func (p *publisher) messages(ctx context.Context, requests []PublishRequest, isArray bool, key string) ([]feed.Message, error) {
	msgs := make([]feed.Message, len(requests))
	for i, req := range requests {
		id := req.ID
		if id == "" && key != "" {
			id = key
			if isArray {
				id = key + ":" + strconv.Itoa(i)
			}
		}
		data, err := payload(req.Data)
		if err != nil {
			return nil, err
		}
		subject, err := p.subjectOf(req)
		if err != nil {
			return nil, atIndex(err, i, isArray)
		}
		msgs[i] = feed.Message{Subject: subject, Type: req.Event, Data: data, ID: id}
		if err := p.check(ctx, msgs[i], i, isArray); err != nil {
			return nil, err
		}
	}
	return msgs, nil
}

// payload takes a JSON string for its text, and other JSON as it is, on one line.
func payload(data json.RawMessage) ([]byte, error) {
	if len(data) > 0 && data[0] == '"' {
		var text string
		err := json.Unmarshal(data, &text)
		return []byte(text), err
	}
	var line bytes.Buffer
	if len(data) > 0 {
		if err := json.Compact(&line, data); err != nil {
			return nil, err
		}
	}
	return line.Bytes(), nil
}

// check returns what is wrong with a message as a *fieldError.
func (p *publisher) check(ctx context.Context, m feed.Message, i int, isArray bool) error {
	err := m.Validate()
	if err == nil {
		err = p.deliverable(ctx, m.Subject)
	}
	if invalid, ok := errors.AsType[*feed.InvalidError](err); ok {
		wrong := &fieldError{field: invalid.Field, reason: invalid.Reason}
		if invalid.Field == "subject" {
			wrong.reason += p.subjectHint(m.Subject)
		}
		if invalid.Misspelt {
			wrong.status = http.StatusUnprocessableEntity
		}
		err = wrong
	}
	return atIndex(err, i, isArray)
}

// atIndex names the place of a field within an array.
func atIndex(err error, i int, isArray bool) error {
	if wrong, ok := errors.AsType[*fieldError](err); ok && isArray {
		return &fieldError{fmt.Sprintf("[%d].%s", i, wrong.field), wrong.reason, wrong.status}
	}
	return err
}

// store publishes and answers.
func (p *publisher) store(w http.ResponseWriter, r *http.Request, msgs []feed.Message, isArray bool) {
	ctx, cancel := context.WithTimeout(r.Context(), p.opts.Timeout)
	defer cancel()
	results := make([]PublishResult, len(msgs))
	var failed error
	for i, res := range p.opts.Publisher.Publish(ctx, msgs...) {
		results[i] = resultOf(res)
		failed = worse(failed, res.Err)
	}
	if failed != nil {
		fields := []slog.Attr{slog.Any("error", failed), slog.String("subject", msgs[0].Subject), slog.Int("events", len(msgs)), slog.String("outcome", string(outcomeOf(failed)))}
		p.opts.Logger.LogAttrs(r.Context(), slog.LevelWarn, "publish failed", withTrace(fields, traceID(r.Header))...)
		problem := storeProblem(failed)
		if isArray {
			problem.Results = results
		}
		WriteProblem(w, problem)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "private, no-store")
	if isArray {
		_ = json.NewEncoder(w).Encode(results)
	} else {
		_ = json.NewEncoder(w).Encode(results[0])
	}
}

func resultOf(res feed.Result) PublishResult {
	if res.Err != nil {
		problem := storeProblem(res.Err)
		return PublishResult{Error: problem.Detail, Outcome: problem.Outcome}
	}
	result := PublishResult{Stream: res.Ack.Stream, Seq: res.Ack.Position.Seq, Duplicate: res.Ack.Duplicate}
	if result.Position.Unknown = res.Ack.Sourced; !res.Ack.Sourced {
		result.Position.Text = res.Ack.Position.String()
	}
	return result
}

// problemOf maps what can be wrong with the request of a publish to an answer.
func problemOf(err error) Problem {
	p := Problem{Status: http.StatusBadRequest, Detail: err.Error()}
	if field, ok := errors.AsType[*fieldError](err); ok {
		p.Field, p.Status = field.field, cmp.Or(field.status, p.Status)
	}
	tooBig, isTooBig := errors.AsType[*http.MaxBytesError](err)
	switch {
	case isTooBig:
		p.Status = http.StatusRequestEntityTooLarge
		p.Detail = fmt.Sprintf("the body is larger than %d bytes (publish.max_bytes)", tooBig.Limit)
	case errors.Is(err, errSlowBody):
		p.Status = http.StatusRequestTimeout
	}
	return p
}
