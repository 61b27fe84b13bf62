package feedhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/subject"
)

// SendMessage stores POST requests of the form {"userId","eventType","message","data"}. The event goes to that
// user, or to all users with "broadcast": true in place of a userId. Clients receive {"message","data"} as
// JSON, of the type eventType. Unknown fields, null and duplicate fields are refused: an event for one
// user must not reach all.
type SendMessage struct {
	publisher
	user      subject.Template
	broadcast string
}

// NewSendMessage returns a handler. It publishes to user, a template with the variable {user}, or to the
// subject broadcast.
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
		return &fieldError{field: "userId", reason: `names no user; to send to all users, use "broadcast": true instead`}
	}
	id, err := parseID(b, "userId")
	*u = userID(id)
	return err
}

func (h *SendMessage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, ok := h.authorize(w, r)
	if !ok {
		return
	}
	msg, err := h.message(w, r)
	h.publish(w, r, id, []feed.Message{msg}, false, err)
}

func (h *SendMessage) message(w http.ResponseWriter, r *http.Request) (feed.Message, error) {
	body, err := h.readJSON(w, r)
	if err != nil {
		return feed.Message{}, err
	}
	if bytes.TrimSpace(body)[0] != '{' {
		return feed.Message{}, errors.New("the body must be a JSON object") // null would go to all users
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
	return msg, mapFieldNames(h.check(r.Context(), msg, 0, false))
}

// mapFieldNames gives the fields of an error the names that these requests have.
func mapFieldNames(err error) error {
	return renameFields(err, map[string]string{"subject": "userId", "event": "eventType", "id": "Idempotency-Key"})
}

func (h *SendMessage) subject(req sendRequest) (string, error) {
	switch {
	case req.userID != "" && bool(req.broadcast):
		return "", &fieldError{field: "broadcast", reason: "is true, and userId names a user; send one of them"}
	case req.userID == "" && !bool(req.broadcast):
		return "", &fieldError{field: "userId", reason: `is missing; name the user, or use "broadcast": true to send to all users`}
	case bool(req.broadcast):
		return h.broadcast, nil
	}
	subject, _, err := h.user.Expand(map[string]string{"user": string(req.userID)})
	if err != nil {
		return "", &fieldError{field: "userId", reason: err.Error()}
	}
	return subject, nil
}
