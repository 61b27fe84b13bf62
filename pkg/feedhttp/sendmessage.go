package feedhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/tidemark/tidemark/pkg/feed"
)

// SendMessage stores POST requests of the form {"userId","eventType","message","data"}, for
// services that speak that. With a userId the event goes to that user, else to everybody.
// What reaches clients is {"message","data"} as JSON, of the type eventType. Unknown fields
// are ignored.
type SendMessage struct {
	publisher
	user      feed.Template
	broadcast string
}

// NewSendMessage returns a handler that publishes to user, a template with the variable
// {user}, or to the subject broadcast.
func NewSendMessage(opts PublishOptions, user feed.Template, broadcast string) *SendMessage {
	return &SendMessage{publisher{opts.withDefaults()}, user, broadcast}
}

type sendRequest struct {
	UserID    userID          `json:"userId"`
	EventType string          `json:"eventType"`
	Message   json.RawMessage `json:"message,omitempty"`
	Data      json.RawMessage `json:"data,omitempty"`
}

// userID is a string or a number, as services have either.
type userID string

func (u *userID) UnmarshalJSON(b []byte) error {
	if string(b) == `""` {
		return &fieldError{field: "userId", reason: "is empty; leave it out to reach everybody"} // by intent, not by mistake
	}
	if string(b) == "null" {
		return nil // leaves it empty
	}
	id, err := parseID(b, "userId")
	*u = userID(id)
	return err
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
		Refuse(w, err)
		return
	}
	h.store(w, r, []feed.Message{msg}, false)
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
	if err := dec.Decode(&req); err != nil {
		return feed.Message{}, bodyError(err)
	}
	if err := checkEnd(dec); err != nil {
		return feed.Message{}, err
	}
	subject, err := h.subject(string(req.UserID))
	if err != nil {
		return feed.Message{}, &fieldError{field: "userId", reason: err.Error()}
	}
	data, err := json.Marshal(struct {
		Message json.RawMessage `json:"message,omitempty"`
		Data    json.RawMessage `json:"data,omitempty"`
	}{req.Message, req.Data})
	if err != nil {
		return feed.Message{}, err
	}
	msg := feed.Message{Subject: subject, Type: req.EventType, Data: data, ID: r.Header.Get("Idempotency-Key")}
	return msg, inTheirWords(h.check(r.Context(), msg, 0, false))
}

// inTheirWords names a field as these requests do.
func inTheirWords(err error) error {
	return renameFields(err, map[string]string{"subject": "userId", "event": "eventType", "id": "Idempotency-Key"})
}

func (h *SendMessage) subject(user string) (string, error) {
	if user == "" {
		return h.broadcast, nil
	}
	subject, _, err := h.user.Expand(map[string]string{"user": user})
	return subject, err
}
