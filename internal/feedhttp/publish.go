package feedhttp

import (
	"context"
	"net/http"
	"strconv"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/pkg/auth"
)

// Publish stores the events of POST requests: one PublishRequest or an array of them. It
// answers once all are acknowledged, with a PublishResult or an array. With ?user= the body is
// the data of one event for that user, or, with Content-Type text/event-stream, a stream of such events.
//
// A request with an invalid event is refused, and nothing of it is stored. If the store fails in the
// middle of an array, the problem has the result of each event.
type Publish struct{ publisher }

// NewPublish returns the handler of POST /publish.
func NewPublish(opts PublishOptions) *Publish { return &Publish{publisher{opts.withDefaults()}} }

func (h *Publish) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, ok := h.authorize(w, r)
	if !ok {
		return
	}
	query, err := h.readQuery(r)
	if err != nil {
		refuse(w, err)
		return
	}
	if isEventStream(r.Header) {
		h.eventStream(w, r, id, query)
		return
	}
	msgs, isArray, err := h.events(w, r, query)
	h.publish(w, r, id, msgs, isArray, err)
}

// eventStream stores an event stream for a user.
func (h *Publish) eventStream(w http.ResponseWriter, r *http.Request, id auth.Identity, query publishQuery) {
	if !query.hasUser {
		refuse(w, badRequest("an event stream has one subject; POST it to /publish/{subject} or /publish?user="))
		return
	}
	subject, err := h.userSubject(query.user)
	if err != nil {
		refuse(w, err)
		return
	}
	h.ingest(w, r, id, subject, "user", query)
}

var errEndInQuery = badRequest(`?end=1 is for requests whose body is the data of one event; send "end": true in the event`)

// events reads a request.
func (h *Publish) events(w http.ResponseWriter, r *http.Request, query publishQuery) (msgs []feed.Message, isArray bool, err error) {
	if query.hasUser {
		msgs, err = h.toUser(w, r, query)
		return msgs, false, err
	}
	content := cloudEventContent(r.Header)
	if r.Header.Get(cloudEventVersion) != "" || content == "" && isBinaryCloudEvent(r.Header) {
		msgs, err = h.binaryCloudEvent(w, r, query)
		return msgs, false, err
	}
	if query.end && content == "" {
		return nil, false, errEndInQuery
	}
	body, err := h.readJSON(w, r)
	if err != nil {
		return nil, false, err
	}
	if content != "" {
		return h.cloudEvents(r.Context(), body, content, query.end)
	}
	requests, isArray, err := decode(body, h.opts.MaxBatch)
	if err != nil {
		return nil, isArray, err
	}
	msgs, err = h.messages(r.Context(), requests, isArray, r.Header.Get("Idempotency-Key"))
	return msgs, isArray, err
}

// binaryCloudEvent reads a CloudEvent in binary mode: its attributes are headers, and the body is its data.
func (p *publisher) binaryCloudEvent(w http.ResponseWriter, r *http.Request, query publishQuery) ([]feed.Message, error) {
	attributes, err := cloudEvent(r.Header)
	if err == nil {
		err = checkCloudEvent(attributes)
	}
	if err == nil {
		err = checkSubject(attributes)
	}
	if err != nil {
		return nil, err
	}
	msgs, err := p.body(w, r, attributes[cloudEventSubject], cloudEventSubject, query.end)
	if err == nil && msgs[0].Type == defaultType {
		msgs[0].Type = ""
	}
	return msgs, err
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
		msgs[i] = feed.Message{Subject: subject, Type: req.Event, Data: data, ID: id, End: bool(req.End)}
		if err := p.check(ctx, msgs[i], i, isArray); err != nil {
			return nil, err
		}
	}
	return msgs, nil
}
