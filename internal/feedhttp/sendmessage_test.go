package feedhttp_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
)

func newMessageDesk(t *testing.T, opts feedhttp.PublishOptions) *desk {
	user := templates(t, "n.user.{user}")[0]
	return newDesk(t, func(opts feedhttp.PublishOptions) http.Handler {
		return feedhttp.NewSendMessage(opts, user, "n.all")
	}, opts)
}

func TestSendMessage_ValidRequest_StoresTheEvent(t *testing.T) {
	d := newMessageDesk(t, feedhttp.PublishOptions{})
	for _, c := range []struct{ body, subject, typ, data string }{
		{`{"userId":"42","eventType":"order","message":"shipped","data":{"n":1}}`, "n.user.42", "order", `{"message":"shipped","data":{"n":1}}`},
		{`{"userId":42,"message":"hi"}`, "n.user.42", "", `{"message":"hi"}`},
		{`{"userId":12345678901234567890,"message":"hi"}`, "n.user.12345678901234567890", "", `{"message":"hi"}`},
		{`{"userId":"alice.b@example.com","message":"hi"}`, "n.user.alice%2Eb@example%2Ecom", "", `{"message":"hi"}`},
		{`{"userId":"*","message":"hi"}`, "n.user.%2A", "", `{"message":"hi"}`},
		{`{"userId":"4.2","message":"hi"}`, "n.user.4%2E2", "", `{"message":"hi"}`},
		{`{"userId":" ","message":"hi"}`, "n.user.%20", "", `{"message":"hi"}`},
		{`{"userId":"a\u0000>","message":"hi"}`, "n.user.a%00%3E", "", `{"message":"hi"}`},
		{`{"broadcast":true,"message":"hi"}`, "n.all", "", `{"message":"hi"}`},
		{`{"broadcast":false,"userId":"42","message":"hi"}`, "n.user.42", "", `{"message":"hi"}`},
		{`{"broadcast":true,"eventType":"tick","data":[1, 2]}`, "n.all", "tick", `{"data":[1,2]}`},
		{`{"broadcast":true,"message":{"a": null},"data":null}`, "n.all", "", `{"message":{"a":null},"data":null}`},
		{`{"broadcast":true}`, "n.all", "", `{}`},
	} {
		d.published(t, c.body, nil, feed.Message{Subject: c.subject, Type: c.typ, Data: []byte(c.data)})
	}
	text := d.published(t, `{"broadcast":true,"message":"hi"}`, []string{"Idempotency-Key", "again"},
		feed.Message{Subject: "n.all", Data: []byte(`{"message":"hi"}`), ID: "again"})
	if want := `{"stream":"NEWS","seq":1,"position":"1-e1","duplicate":true}` + "\n"; text != want {
		t.Errorf("answered %s, want %s", text, want)
	}
}

// Above all, an event for one user never goes to all.
func TestSendMessage_InvalidRequest_StoresNothing(t *testing.T) {
	d := newMessageDesk(t, feedhttp.PublishOptions{MaxBytes: 1000})
	for _, c := range []struct {
		body   string
		status int
		field  string
		says   string
	}{
		{``, 400, "", "empty"},
		{`null`, 400, "", "object"},
		{`[]`, 400, "", "object"},
		{`"hi"`, 400, "", "object"},
		{`{"message":"hi"`, 400, "", "JSON"},
		{`{"message":"hi"} {}`, 400, "", "more data follows"},
		{`{"userId":""}`, 400, "userId", "broadcast"},
		{`{"userId":null,"message":"hi"}`, 400, "userId", "broadcast"},
		{`{"message":"hi"}`, 400, "userId", "broadcast"},
		{`{}`, 400, "userId", "broadcast"},
		{`{"broadcast":false,"message":"hi"}`, 400, "userId", "broadcast"},
		{`{"broadcast":null}`, 400, "broadcast", "true or false"},
		{`{"broadcast":"true"}`, 400, "broadcast", "true or false"},
		{`{"broadcast":1}`, 400, "broadcast", "true or false"},
		{`{"broadcast":true,"userId":"42"}`, 400, "broadcast", "one of them"},
		{`{"user_id":"42","broadcast":true}`, 400, "user_id", "userId"},
		{`{"userid":"42","broadcast":true}`, 400, "userid", "userId"},
		{`{"UserId":"42"}`, 400, "UserId", "userId"},
		{`{"userIds":["42"],"broadcast":true}`, 400, "userIds", "userId"},
		{`{"user":"42","broadcast":true}`, 400, "user", "userId"},
		{`{"userId":"42","userId":"43"}`, 400, "userId", "twice"},
		{`{"userId":"42","message":"a","message":"b"}`, 400, "message", "twice"},
		{`{"userId":"42","user\u0049d":"43"}`, 400, "userId", "twice"},
		{`{"broadcast":true,"broadcast":true}`, 400, "broadcast", "twice"},
		{`{"userId":"42","timestamp":1}`, 400, "timestamp", "not known"},
		{`{"userId":4.2}`, 400, "userId", "integer"},
		{`{"userId":4e1}`, 400, "userId", "integer"},
		{`{"userId":"a\ud800"}`, 400, "userId", "UTF-8"},
		{`{"userId":"` + strings.Repeat("x", 256) + `"}`, 400, "userId", "255"},
		{`{"userId":true}`, 400, "userId", "integer"},
		{`{"userId":{"id":1}}`, 400, "userId", "integer"},
		{`{"userId":["42"]}`, 400, "userId", "integer"},
		{`{"userId":1,"eventType":"error"}`, 400, "eventType", "reserved"},
		{`{"userId":1,"eventType":"tidemark.x"}`, 400, "eventType", "reserved"},
		{`{"userId":1,"eventType":7}`, 400, "eventType", "number"},
		{`{"userId":1,"eventType":null}`, 400, "eventType", "null"},
		{"{\"message\":\"\xff\"}", 400, "", "UTF-8"},
		{`{"message":"` + strings.Repeat("x", 1000) + `"}`, 413, "", "1000"},
	} {
		d.refused(t, c.body, c.status, c.field, c.says)
	}
	if resp, _ := d.do(t, http.MethodGet, ""); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "POST, OPTIONS" {
		t.Errorf("GET: %s", resp.Status)
	}
}

func TestSendMessage_StoreFails_AnswersWithAProblem(t *testing.T) {
	d := newMessageDesk(t, feedhttp.PublishOptions{Accept: below("n.user.")})
	d.refused(t, `{"broadcast":true,"message":"for everybody"}`, 422, "userId", "n.user.")
	d.errs = []error{feed.ErrSubjectNotStored}
	resp, body := d.post(t, `{"userId":1,"message":"hi"}`)
	if p := decodeProblem(t, resp, body); p.Status != http.StatusUnprocessableEntity {
		t.Errorf("%+v", p)
	}
}
