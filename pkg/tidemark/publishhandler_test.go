package tidemark_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/pkg/tidemark"
)

// editors may publish, by X-User: those named news to all subjects, others to their own.
func editors(r *http.Request) (auth.Identity, error) {
	id, err := users(r)
	if id.Publish = []string{"news.user." + id.User()}; id.User() == "news" {
		id.Publish = []string{">"}
	}
	return id, err
}

// publishMux has the feed at /events, and its publish handler at the two paths of its documentation.
func publishMux(f *tidemark.Feed, opts tidemark.PublishOptions) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /events", f)
	h := f.PublishHandler(opts)
	mux.Handle("/publish", h)
	mux.Handle("/publish/{subject...}", h)
	return mux
}

// post sends a body; header is name, value, name, value.
func post(t testing.TB, client *http.Client, url, body string, header ...string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

func TestPublishHandler_Events_AreStoredAndDelivered(t *testing.T) {
	eachWay(t, func(t *testing.T, serve func(testing.TB, *tidemark.Feed, http.Handler) string) {
		f := startNATS(t).open(t, newsOptions())
		url := serve(t, f, publishMux(f, tidemark.PublishOptions{Identify: editors}))
		client := newClient(t)
		live := connect(t, client, url+"/events", "X-User", "a.b")
		live.next(t, "tidemark.open")
		for path, body := range map[string]string{
			"/publish":              `{"subject":"news.all","event":"order","data":{"n":1}}`,
			"/publish?user=a.b":     `{"n":1}`,
			"/publish/news.all":     `{"n":1}`,
			"/publish/news.topic.x": `{"n":1}`,
		} {
			typ := ""
			if path == "/publish" {
				typ = "order"
			}
			status, text := post(t, client, url+path, body, "X-User", "news")
			var result struct{ Position string }
			if err := json.Unmarshal([]byte(text), &result); err != nil || status != http.StatusOK {
				t.Fatalf("%s: %d %s", path, status, text)
			}
			if strings.Contains(path, "topic") { // which the connection has not requested
				continue
			}
			if ev := live.next(t, typ); string(ev.ID) != result.Position || string(ev.Data) != `{"n":1}` {
				t.Errorf("%s: received %s %s, stored at %s", path, ev.ID, ev.Data, result.Position)
			}
		}
	})
}

func TestPublishHandler_EventStream_IsStoredAndDelivered(t *testing.T) {
	eachWay(t, func(t *testing.T, serve func(testing.TB, *tidemark.Feed, http.Handler) string) {
		f := startNATS(t).open(t, newsOptions())
		url := serve(t, f, publishMux(f, tidemark.PublishOptions{Identify: editors}))
		client := newClient(t)
		live := connect(t, client, url+"/events")
		live.next(t, "tidemark.open")
		status, text := post(t, client, url+"/publish/news.all", "data: 1\n\nevent: x\ndata: 2\n\ndata: [DONE]\n\n", "X-User", "news", "Content-Type", "text/event-stream")
		if status != http.StatusOK || !strings.Contains(text, `"stored":3`) || !strings.Contains(text, `"ended":true`) {
			t.Fatalf("%d %s", status, text)
		}
		for _, want := range []string{":1", "x:2", ":[DONE]"} {
			typ, data, _ := strings.Cut(want, ":")
			if ev := live.next(t, typ); string(ev.Data) != data {
				t.Errorf("received %q, want %q", ev.Data, data)
			}
		}
	})
}

func TestPublishHandler_RequestIsWrong_StoresNothing(t *testing.T) {
	f := startNATS(t).open(t, newsOptions())
	url := ways["handler"](t, f, publishMux(f, tidemark.PublishOptions{Identify: editors, MaxBytes: 100, MaxBatch: 2}))
	client := newClient(t)
	for name, c := range map[string]struct {
		user, path, body string
		want             int
	}{
		"no identity":              {"", "/publish", `{"subject":"news.all"}`, http.StatusUnauthorized},
		"a subject of others":      {"7", "/publish", `{"subject":"news.all"}`, http.StatusForbidden},
		"one of them is of others": {"7", "/publish", `[{"subject":"news.user.7"},{"subject":"news.user.8"}]`, http.StatusForbidden},
		"a subject in the path":    {"7", "/publish/news.all", "x", http.StatusForbidden},
		"another user":             {"7", "/publish?user=8", "x", http.StatusForbidden},
		"no client receives it":    {"news", "/publish", `{"subject":"news.other"}`, http.StatusUnprocessableEntity},
		"not JSON":                 {"news", "/publish", `{`, http.StatusBadRequest},
		"MaxBytes":                 {"news", "/publish/news.all", strings.Repeat("x", 101), http.StatusRequestEntityTooLarge},
		"MaxBatch":                 {"news", "/publish", `[{"subject":"news.all"},{"subject":"news.all"},{"subject":"news.all"}]`, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			var header []string
			if c.user != "" {
				header = []string{"X-User", c.user}
			}
			if status, text := post(t, client, url+c.path, c.body, header...); status != c.want {
				t.Errorf("%d %s, want %d", status, text, c.want)
			}
		})
	}
	if ack := publish(t, f, "news.all", 1); ack.Sequence != 1 {
		t.Errorf("the next event is stored at %d: one of the requests was stored", ack.Sequence)
	}
}

func TestPublishHandler_WithoutIdentify_RejectsEveryRequest(t *testing.T) {
	f := startNATS(t).open(t, newsOptions())
	url := ways["handler"](t, f, publishMux(f, tidemark.PublishOptions{}))
	if status, text := post(t, newClient(t), url+"/publish", `{"subject":"news.all"}`, "X-User", "news"); status != http.StatusForbidden || !strings.Contains(text, "PublishOptions.Identify") {
		t.Errorf("%d %s", status, text)
	}
}

func TestPublishHandler_PageOfAnotherOrigin_NeedsCORS(t *testing.T) {
	opts := newsOptions()
	opts.CORS = tidemark.CORS{Origins: []string{"https://app.example"}, Credentials: true}
	f := startNATS(t).open(t, opts)
	url := ways["handler"](t, f, publishMux(f, tidemark.PublishOptions{Identify: editors}))
	for origin, want := range map[string]int{"https://app.example": http.StatusOK, "https://other.example": http.StatusForbidden} {
		if status, text := post(t, newClient(t), url+"/publish", `{"subject":"news.all"}`, "X-User", "news", "Origin", origin, "Sec-Fetch-Site", "cross-site"); status != want {
			t.Errorf("%s: %d %s, want %d", origin, status, text, want)
		}
	}
}
