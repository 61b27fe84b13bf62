package feedhttp_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/subject"
)

func TestPublish_User_BecomesOneToken(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{Templates: templates(t, "n.all", "n.user.{user}", "n.user.{user}", "n.{city}.{user}", "n.room.{user}.*")})
	for _, c := range []struct{ user, subject string }{
		{`"42"`, "n.user.42"},
		{`42`, "n.user.42"},
		{`-1`, "n.user.-1"},
		{`12345678901234567890`, "n.user.12345678901234567890"},
		{`"alice.b@example.com"`, "n.user.alice%2Eb@example%2Ecom"},
		{`"*"`, "n.user.%2A"},
		{`"%41"`, "n.user.%2541"},
		{`"\ud83d\ude00"`, "n.user.😀"},
	} {
		d.published(t, `{"user":`+c.user+`,"event":"e","data":"x","id":"i"}`, nil, feed.Message{Subject: c.subject, Type: "e", Data: []byte("x"), ID: "i"})
	}
	d.published(t, `[{"subject":"n.all","data":1},{"user":"a.b","data":2}]`, nil,
		feed.Message{Subject: "n.all", Data: []byte("1")}, feed.Message{Subject: "n.user.a%2Eb", Data: []byte("2")})
}

func TestPublish_UserWrong_Refused(t *testing.T) {
	one := templates(t, "n.all", "n.user.{user}")
	for _, c := range []struct {
		templates []subject.Template
		body      string
		status    int
		field     string
		says      string
	}{
		{one, `{"user":"42","subject":"n.all"}`, 400, "user", "the place of subject"},
		{one, `{"user":""}`, 400, "user", "not empty"},
		{one, `{"user":null,"subject":"n.all"}`, 400, "user", "string"},
		{one, `{"user":1.5}`, 400, "user", "integer"},
		{one, `{"user":["42"]}`, 400, "user", "string"},
		{one, `{"user":"a","user":"b"}`, 400, "user", "twice"},
		{one, `{"user":"a\ud800"}`, 400, "user", "UTF-8"},
		{one, `{"user":"` + strings.Repeat("é", 128) + `"}`, 400, "user", "255"},
		{one, `{"userId":"42"}`, 400, "userId", "userId"},
		{one, `[{"subject":"n.all"},{"user":"a","subject":"n.all"}]`, 400, "[1].user", "the place of"},
		{nil, `{"user":"42"}`, 422, "user", "no feed"},
		{templates(t, "n.all", "n.{city}.{user}"), `{"user":"42"}`, 422, "user", "no feed"},
		{templates(t, "n.user.{user}", "m.user.{user}"), `{"user":"42"}`, 422, "user", "m.user.{user}, n.user.{user}"},
	} {
		newDesk(t, publishing, feedhttp.PublishOptions{Templates: c.templates}).refused(t, c.body, c.status, c.field, c.says)
	}
}

func TestPublish_UserInQuery_BodyIsTheData(t *testing.T) {
	for _, c := range []struct {
		query, body, key string
		status           int
		want             feed.Message
		says             string
	}{
		{"user=alice.b%40example.com", `{"n": 1}`, "k", 200, feed.Message{Subject: "n.user.alice%2Eb@example%2Ecom", Data: []byte(`{"n": 1}`), ID: "k"}, ""},
		{"user=42", `{"subject":"n.all"}`, "", 200, feed.Message{Subject: "n.user.42", Data: []byte(`{"subject":"n.all"}`)}, ""},
		{"user=42", " \n", "", 200, feed.Message{Subject: "n.user.42", Data: []byte(" \n")}, ""},
		{"user=%3E", "x", "", 200, feed.Message{Subject: "n.user.%3E", Data: []byte("x")}, ""},
		{"user=42", "", "", 400, feed.Message{}, "empty"},
		{"user=42", "\xff", "", 400, feed.Message{}, "UTF-8"},
		{"user=", "x", "", 400, feed.Message{}, "?user="},
		{"user=1&user=2", "x", "", 400, feed.Message{}, "2 times"},
		{"user=%ff", "x", "", 400, feed.Message{}, "UTF-8"},
		{"user=%zz", "x", "", 400, feed.Message{}, "query"},
		{"user=42", strings.Repeat("x", 1001), "", 413, feed.Message{}, "1000"},
		{"user=42", "x", strings.Repeat("k", 257), 400, feed.Message{}, "256"},
		{"other=1", `{"subject":"n.all","data":1}`, "", 400, feed.Message{}, `\"other\" is not known`},
		{"", `{"subject":"n.all","data":1}`, "", 200, feed.Message{Subject: "n.all", Data: []byte("1")}, ""},
	} {
		store := &recorder{}
		h := feedhttp.NewPublish(feedhttp.PublishOptions{Publisher: store, Templates: templates(t, "n.user.{user}"), MaxBytes: 1000})
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/publish?"+c.query, strings.NewReader(c.body))
		if c.key != "" {
			r.Header.Set("Idempotency-Key", c.key)
		}
		h.ServeHTTP(w, r)
		msgs := store.taken()
		c.want = scoped(c.want)[0]
		stored := len(msgs) == 1 && msgs[0].Subject == c.want.Subject && string(msgs[0].Data) == string(c.want.Data) && msgs[0].ID == c.want.ID
		if w.Code != c.status || (c.status == 200) != stored || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("?%s with %.20q: %d %s, published %+v", c.query, c.body, w.Code, w.Body, msgs)
		}
	}
}

// FuzzPublishUser: whatever the user, at most one message is published, to one token below the
// template, which is that user's.
func FuzzPublishUser(f *testing.F) {
	for _, s := range []string{"42", "a.b", "*", "a b", "\x00", "%41", ">", "\xff"} {
		f.Add(s)
	}
	all := templates(f, "n.user.{user}")
	f.Fuzz(func(t *testing.T, user string) {
		body, err := json.Marshal(map[string]string{"user": user})
		if err != nil {
			t.Skip()
		}
		for target, body := range map[string]string{"/publish": string(body), "/publish?user=" + url.QueryEscape(user): "x"} {
			store := &recorder{}
			h := feedhttp.NewPublish(feedhttp.PublishOptions{Publisher: store, Templates: all})
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, target, strings.NewReader(body)))
			for _, msg := range store.msgs {
				want, ok, err := all[0].Expand(map[string]string{"user": user})
				if msg.Subject != want || !ok || err != nil || strings.Count(msg.Subject, ".") != 2 {
					t.Errorf("%s %q was published to %q, want %q", target, user, msg.Subject, want)
				}
			}
		}
	})
}

func TestPublish_SubjectOfAValueThatNeedsEncoding_NamesTheSpellingAndUser(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{Templates: templates(t, "n.all", "n.user.{user}")})
	for subject, want := range map[string]string{
		"n.user.a b":      `write "n.user.a%20b", or send "user"`,
		"n.user.a*b":      `write "n.user.a%2Ab", or send "user"`,
		"n.user.a>b.c":    `write "n.user.a%3Eb%2Ec", or send "user"`,
		"n.user.first .b": `write "n.user.first%20%2Eb", or send "user"`,
	} {
		d.refused(t, `{"subject":"`+subject+`"}`, http.StatusBadRequest, "subject", want)
		d.refused(t, `[{"subject":"n.all"},{"subject":"`+subject+`"}]`, http.StatusBadRequest, "[1].subject", want)
	}
	d.refused(t, `{"subject":"n.user.%41"}`, http.StatusUnprocessableEntity, "subject", `%2541 for the value "%41"`)
	d.refused(t, `{"subject":"n.user.%41"}`, http.StatusUnprocessableEntity, "subject", `send "user" in place of "subject"`)
}

func TestPublish_SubjectWithAWildcard_SuggestsNoEncoding(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{Templates: templates(t, "n.user.{user}")})
	for _, subject := range []string{"n.user.*", "n.user.>"} {
		if _, text := d.post(t, `{"subject":"`+subject+`"}`); !strings.Contains(text, "wildcard") || strings.Contains(text, "encoded") {
			t.Errorf("%s: %s", subject, text)
		}
	}
}

func TestPublish_BodyIsNotJSON_NamesThePathForData(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{})
	for _, body := range []string{"hi", `"hi"`, "42", "a=b", `{"subject"`} {
		d.refused(t, body, http.StatusBadRequest, "", "/publish/{subject}")
	}
}
