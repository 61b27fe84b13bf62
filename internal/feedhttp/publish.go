package feedhttp

import (
	"context"
	"net/http"
	"strconv"

	"github.com/tidemark/tidemark/internal/feed"
)

// Publish stores the events of POST requests: one PublishRequest or an array of them. It
// answers once all are acknowledged, with a PublishResult or an array. With ?user= the body is
// the data of one event for that user.
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
	msgs, isArray, err := h.events(w, r)
	h.publish(w, r, id, msgs, isArray, err)
}

var errEndInQuery = badRequest(`?end=1 is for requests whose body is the data of one event; send "end": true in the event`)

// events reads a request.
func (h *Publish) events(w http.ResponseWriter, r *http.Request) (msgs []feed.Message, isArray bool, err error) {
	query, err := readPublishQuery(r)
	if err != nil {
		return nil, false, err
	}
	if query.hasUser {
		msgs, err = h.toUser(w, r, query)
		return msgs, false, err
	}
	if query.end {
		return nil, false, errEndInQuery
	}
	body, err := h.readJSON(w, r)
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
