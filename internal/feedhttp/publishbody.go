package feedhttp

import (
	"cmp"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/msgheader"
)

// PublishBody stores the body of a POST request as the data of one event. The content type may be any; of a body of
// text/event-stream each event is stored as it arrives. The subject is the path value "subject", as of a pattern such as
// "POST /publish/{subject...}": the path is decoded once, so that a token with %2E is written
// with %252E there.
//
// Of the request's headers these alone have an effect on the event: Event-Type, Idempotency-Key,
// Nats-TTL, Content-Type, and those of CloudEvents (ce-*).
type PublishBody struct{ publisher }

// NewPublishBody returns the handler of POST /publish/{subject}.
func NewPublishBody(opts PublishOptions) *PublishBody {
	return &PublishBody{publisher{opts.withDefaults()}}
}

func (h *PublishBody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, ok := h.authorize(w, r)
	if !ok {
		return
	}
	query, err := h.readQuery(r)
	if err == nil && query.hasUser {
		err = &fieldError{field: "user", reason: "stands in place of the subject in the path; send one of them"}
	}
	if err != nil {
		refuse(w, err)
		return
	}
	subject := r.PathValue("subject")
	if isEventStream(r.Header) {
		h.ingest(w, r, id, subject, "subject", query)
		return
	}
	msgs, err := h.event(w, r, subject, query)
	h.publish(w, r, id, msgs, false, err)
}

func (h *PublishBody) event(w http.ResponseWriter, r *http.Request, subj string, query publishQuery) ([]feed.Message, error) {
	msgs, err := h.body(w, r, subj, "subject", query.end)
	return msgs, h.pathError(subj, err)
}

// pathError adds to an error for the subject of a path how to write it there.
func (p *publisher) pathError(subj string, err error) error {
	if wrong, ok := errors.AsType[*fieldError](err); ok && wrong.field == "subject" {
		wrong.reason += p.pathHint(subj, wrong.reason)
	}
	return err
}

// headerFields are the names of the fields of an event that comes from the header of its request. subject names what
// the subject comes from.
func headerFields(subject string) map[string]string {
	return map[string]string{"subject": subject, "id": "Idempotency-Key", "event": "Event-Type", "ttl": "Nats-TTL"}
}

// pathHint ends the reason why the subject of a path is not accepted. The reason names subjects as they are stored;
// a path has %25 for their %.
func (p *publisher) pathHint(subj, reason string) string {
	for _, t := range p.opts.Templates {
		if encoded, ok := t.EncodeLast(subj); ok {
			return fmt.Sprintf("; in the path that is %q", strings.ReplaceAll(encoded, "%", "%25"))
		}
	}
	if strings.Contains(reason, "%") {
		return "; in the path write %25 for each % of the subject"
	}
	return ""
}

// toUser reads POST /publish?user=, whose body is the data of one event.
func (p *publisher) toUser(w http.ResponseWriter, r *http.Request, query publishQuery) ([]feed.Message, error) {
	subject, err := p.userSubject(query.user)
	if err != nil {
		return nil, err
	}
	return p.body(w, r, subject, "user", query.end)
}

// body reads a request whose body is the data of one event. subjectField names what the subject
// comes from. With end the event completes the subject, and may be empty.
func (p *publisher) body(w http.ResponseWriter, r *http.Request, subject, subjectField string, end bool) ([]feed.Message, error) {
	msg, err := fromHeader(r.Header)
	if err != nil {
		return nil, err
	}
	msg.Subject, msg.End = subject, end
	if msg.Data, err = p.readBody(w, r); err != nil {
		return nil, err
	}
	if len(msg.Data) == 0 && !end && msg.Header[cloudEventVersion] == "" {
		return nil, errors.New("the body is empty; it is the data of the event, which only the end of a subject (?end=1) may lack")
	}
	if err := checkUTF8(msg.Data); err != nil {
		return nil, err
	}
	if err := p.check(r.Context(), msg, 0, false); err != nil {
		return nil, renameFields(err, headerFields(subjectField))
	}
	if isBinaryCloudEvent(r.Header) {
		if err := checkCloudEvent(msg.Header); err != nil {
			return nil, err
		}
	}
	return []feed.Message{msg}, nil
}

// fromHeader returns the attributes of an event from the header of its request. Other headers than
// these have no effect on the event: Nats-Rollup would delete events.
func fromHeader(header http.Header) (msg feed.Message, err error) {
	attributes, err := cloudEvent(header)
	if err != nil {
		return msg, err
	}
	var lifetime, contentType string
	for name, into := range map[string]*string{
		"Event-Type": &msg.Type, "Idempotency-Key": &msg.ID, "Nats-TTL": &lifetime, "Content-Type": &contentType,
	} {
		if *into, err = single(header, name); err != nil {
			return msg, err
		}
	}
	if msg.TTL, err = parseLifetime(lifetime); err != nil {
		return msg, err
	}
	msg.Header = attributes
	if !isDefaultType(contentType) {
		if msg.Header == nil {
			msg.Header = make(map[string]string, 1)
		}
		msg.Header["Content-Type"] = contentType
	}
	msg.Type = cmp.Or(msg.Type, attributes[msgheader.CloudEventType])
	msg.ID = cmp.Or(msg.ID, cloudEventKey(attributes))
	return msg, nil
}

// single returns a header that may be there once at most.
func single(header http.Header, name string) (string, error) {
	values := header[http.CanonicalHeaderKey(name)]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", &fieldError{field: name, reason: "is given " + strconv.Itoa(len(values)) + " times; send it once"}
}

// parseLifetime reads Nats-TTL as JetStream does, a number of seconds or a duration such as 1h30m,
// but for "never": an event that outlives the stream's limits is not for publishers to have.
func parseLifetime(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	lifetime, err := time.ParseDuration(s)
	if seconds, numErr := strconv.ParseUint(s, 10, 31); numErr == nil {
		lifetime, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || lifetime < time.Second {
		return 0, &fieldError{field: "Nats-TTL", reason: "must be a number of seconds, or a duration such as 90s or 1h, of at least one second"}
	}
	return lifetime.Truncate(time.Second), nil
}

// isDefaultType reports whether a content type is a default of HTTP clients, and so does not describe
// the data.
func isDefaultType(contentType string) bool {
	if contentType == "" {
		return true
	}
	name, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch name {
	case "application/x-www-form-urlencoded", "application/octet-stream":
		return true
	case "text/plain":
		charset := params["charset"]
		return len(params) == 0 || len(params) == 1 && strings.EqualFold(charset, "utf-8")
	}
	return false
}
