package feedhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/subject"
)

// SendMessage stores POST requests of the form {"userId","eventType","message","data"}, for
// services that speak that. The event goes to that user, or with "broadcast": true in place of a
// userId to everybody. What reaches clients is {"message","data"} as JSON, of the type eventType.
// A field that is not known, is null or is there twice is refused: what was meant for one user must
// not reach everybody.
type SendMessage struct {
	publisher
	user      subject.Template
	broadcast string
}

// NewSendMessage returns a handler that publishes to user, a template with the variable
// {user}, or to the subject broadcast.
func NewSendMessage(opts PublishOptions, user subject.Template, broadcast string) *SendMessage {
	return &SendMessage{publisher{opts.withDefaults()}, user, broadcast}
}

type sendRequest struct {
	userID        userID
	broadcast     explicit
	eventType     text
	message, data json.RawMessage
}

func (r *sendRequest) decode(dec *json.Decoder) error {
	return decodeFields(dec, jsonField{"userId", &r.userID}, jsonField{"broadcast", &r.broadcast},
		jsonField{"eventType", &r.eventType}, jsonField{"message", &r.message}, jsonField{"data", &r.data})
}

// userID is a string or a number, as services have either.
type userID string

func (u *userID) UnmarshalJSON(b []byte) error {
	if string(b) == `""` || string(b) == "null" {
		return &fieldError{field: "userId", reason: `names no user; send "broadcast": true in place of it to reach everybody`}
	}
	id, err := parseID(b, "userId")
	*u = userID(id)
	return err
}

// explicit is a JSON true or false.
type explicit bool

func (e *explicit) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "true", "false":
		*e = string(b) == "true"
		return nil
	}
	return &fieldError{field: "broadcast", reason: "must be true or false"}
}

func (h *SendMessage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, ok := h.enter(w, r)
	if !ok {
		return
	}
	msg, err := h.message(w, r)
	if err != nil {
		WriteProblem(w, problemOf(err))
		return
	}
	if err := h.allow(id, msg); err != nil {
		h.report(r, id, err)
		Refuse(w, err)
		return
	}
	msgs := []feed.Message{msg}
	scopeIDs(id, msgs)
	h.store(w, r, msgs, false)
}

func (h *SendMessage) message(w http.ResponseWriter, r *http.Request) (feed.Message, error) {
	body, err := h.read(w, r)
	if err != nil {
		return feed.Message{}, err
	}
	if bytes.TrimSpace(body)[0] != '{' {
		return feed.Message{}, errors.New("the body must be a JSON object") // null would go to everybody
	}
	var req sendRequest
	dec := json.NewDecoder(bytes.NewReader(body))
	if err := req.decode(dec); err != nil {
		return feed.Message{}, bodyError(err)
	}
	if err := checkEnd(dec); err != nil {
		return feed.Message{}, err
	}
	subject, err := h.subject(req)
	if err != nil {
		return feed.Message{}, err
	}
	data, err := json.Marshal(struct {
		Message json.RawMessage `json:"message,omitempty"`
		Data    json.RawMessage `json:"data,omitempty"`
	}{req.message, req.data})
	if err != nil {
		return feed.Message{}, err
	}
	msg := feed.Message{Subject: subject, Type: string(req.eventType), Data: data, ID: r.Header.Get("Idempotency-Key")}
	return msg, inTheirWords(h.check(r.Context(), msg, 0, false))
}

// inTheirWords names a field as these requests do.
func inTheirWords(err error) error {
	return renameFields(err, map[string]string{"subject": "userId", "event": "eventType", "id": "Idempotency-Key"})
}

func (h *SendMessage) subject(req sendRequest) (string, error) {
	switch {
	case req.userID != "" && bool(req.broadcast):
		return "", &fieldError{field: "broadcast", reason: "is true, and userId names a user; send one of them"}
	case req.userID == "" && !bool(req.broadcast):
		return "", &fieldError{field: "userId", reason: `is missing; name the user, or send "broadcast": true to reach everybody`}
	case bool(req.broadcast):
		return h.broadcast, nil
	}
	subject, _, err := h.user.Expand(map[string]string{"user": string(req.userID)})
	if err != nil {
		return "", &fieldError{field: "userId", reason: err.Error()}
	}
	return subject, nil
}
