package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/tidemark/tidemark/internal/server"
)

func withDocs(o *server.Options) { o.Docs = true }

// document is what a node says of itself, once it is known to be OpenAPI.
func (r *harness) document() *openapi3.T {
	r.t.Helper()
	_, raw := get(r.t, r.base+"/openapi.json", "")
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := doc.Validate(r.t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		r.t.Fatal(err)
	}
	return doc
}

var echoParam = regexp.MustCompile(`:(\w+)`)

// describedPath is a path of Echo as OpenAPI has it.
func describedPath(path string) string {
	if path == "/publish/*" {
		return "/publish/{subject}"
	}
	return echoParam.ReplaceAllString(path, "{$1}")
}

// TestOpenAPI_Document_HasEveryRoute: what is served is in it, and what is in it is served.
func TestOpenAPI_Document_HasEveryRoute(t *testing.T) {
	pages := []string{"/", "/metrics", "/docs", "/docs/init.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/console/*", "/client.js", "/client.d.ts"}
	for name, publish := range map[string]bool{"publishing": true, "reading alone": false} {
		t.Run(name, func(t *testing.T) {
			r := newHarness(t, func(o *server.Options) { withDocs(o); o.Publish.Enabled = publish })
			var served []string
			for _, path := range r.srv.Served() {
				if path = describedPath(path); !slices.Contains(pages, path) && !slices.Contains(served, path) {
					served = append(served, path)
				}
			}
			described := r.document().Paths.Keys()
			slices.Sort(served)
			slices.Sort(described)
			if !slices.Equal(served, described) {
				t.Errorf("served:    %q\ndescribed: %q", served, described)
			}
		})
	}
}

// check compares an answer with what the document says of it.
func (r *harness) check(doc *openapi3.T, template string, req *http.Request, resp *http.Response, body []byte) {
	r.t.Helper()
	method := req.Method
	if method == http.MethodHead || method == http.MethodPut { // what is said of the one method of a path
		method = http.MethodGet
		if doc.Paths.Value(template).Get == nil {
			method = http.MethodPost
		}
	}
	item := doc.Paths.Value(template)
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: req, Route: &routers.Route{Spec: doc, Path: template, PathItem: item, Method: method, Operation: item.GetOperation(method)},
		},
		Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: req.Method == http.MethodHead},
	}
	if err := openapi3filter.ValidateResponse(r.t.Context(), in); err != nil {
		r.t.Errorf("%s %s: %d %s\n%v", req.Method, req.URL, resp.StatusCode, body, err)
	}
}

func init() {
	openapi3filter.RegisterBodyDecoder("application/problem+json", openapi3filter.RegisteredBodyDecoder("application/json"))
}

// TestOpenAPI_Answers_AreAsDescribed compares real answers with the document, errors above all.
func TestOpenAPI_Answers_AreAsDescribed(t *testing.T) {
	r := newHarness(t, func(o *server.Options) {
		withDocs(o)
		o.Presence = server.PresenceOptions{Enabled: true, Bucket: "PRESENCE"}
		o.Publish.MaxBytes = 500
		o.Limits.PublishesPerSecond, o.Limits.PublishesBurst = 1, 40
	})
	doc := r.document()
	r.listen("/events?user=42", "").want("tidemark.open")
	r.eventually("presence is told", func() bool { return r.status("/connections") == http.StatusOK })
	for _, tt := range []struct {
		method, path, template, body string
		want                         int
	}{
		{"HEAD", "/events?from=all&subject=notifications.topic.a", "/events", "", 200},
		{"GET", "/sse-notifications?from=nonsense", "/sse-notifications", "", 400},
		{"GET", "/events?subject=secret.a", "/events", "", 403},
		{"PUT", "/events", "/events", "", 405},
		{"POST", "/publish", "/publish", `{"subject":"notifications.broadcast","event":"e","data":{"n":1}}`, 200},
		{"POST", "/publish", "/publish", `[{"subject":"notifications.broadcast","data":"x","id":"1"},{"subject":"notifications.broadcast","data":"x","id":"1"}]`, 200},
		{"POST", "/publish", "/publish", `{"subject":"notifications.*"}`, 400},
		{"POST", "/publish", "/publish", strings.Repeat(" ", 600) + `{}`, 413},
		{"PUT", "/publish", "/publish", "", 405},
		{"POST", "/api/events/send-message", "/api/events/send-message", `{"userId":42,"message":"hi"}`, 200},
		{"POST", "/api/events/send-message", "/api/events/send-message", `{"userId":4.2}`, 400},
		{"POST", "/publish", "/publish", `{"user":"alice.b@example.com","data":"x"}`, 200},
		{"POST", "/publish?user=alice.b@example.com", "/publish", `x`, 200},
		{"POST", "/publish", "/publish", `{"user":"","data":"x"}`, 400},
		{"POST", "/publish", "/publish", `{"subject":"notifications.user.a.b"}`, 422},
		{"GET", "/events?since=1", "/events", "", 400},
		{"GET", "/connections", "/connections", "", 200},
		{"GET", "/connections/42", "/connections/{user}", "", 200},
		{"GET", "/connections?limit=0", "/connections", "", 400},
		{"GET", "/healthz", "/healthz", "", 200},
		{"GET", "/readyz", "/readyz", "", 200},
		{"GET", "/openapi.json", "/openapi.json", "", 200},
	} {
		req, resp, body := r.request(tt.method, tt.path, tt.body)
		if resp.StatusCode != tt.want {
			t.Errorf("%s %s: %d, want %d: %s", tt.method, tt.path, resp.StatusCode, tt.want, body)
		}
		r.check(doc, tt.template, req, resp, body)
	}
	var limited *http.Response
	for range 50 {
		req, resp, body := r.request("POST", "/publish", `{"subject":"notifications.broadcast"}`)
		r.check(doc, "/publish", req, resp, body)
		if limited = resp; resp.StatusCode == http.StatusTooManyRequests {
			break
		}
	}
	if limited.StatusCode != http.StatusTooManyRequests {
		t.Errorf("never limited: %d", limited.StatusCode)
	}
}

func (r *harness) request(method, path, body string) (*http.Request, *http.Response, []byte) {
	r.t.Helper()
	resp, raw := r.ask(method, r.base+path, body)
	return resp.Request, resp, raw
}

// TestOpenAPI_ControlEvents_AreAsDescribed compares what a stream says with its schemas.
func TestOpenAPI_ControlEvents_AreAsDescribed(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { withDocs(o); o.SSE.Heartbeat = 1e9 })
	schemas := r.document().Components.Schemas
	l := r.listen("/events?heartbeat=event", "nonsense")
	names := map[string]string{"tidemark.open": "Open", "tidemark.gap": "Gap", "tidemark.position": "At", "tidemark.close": "Close"}
	for _, want := range []string{"tidemark.open", "tidemark.gap", "tidemark.position", "tidemark.close"} {
		if want == "tidemark.close" {
			go r.stop()
		}
		ev := l.next()
		for ev.Type == "tidemark.position" && want == "tidemark.close" {
			ev = l.next()
		}
		var data any
		if err := json.Unmarshal(ev.Data, &data); err != nil || ev.Type != want {
			t.Fatalf("%s %s, want %s", ev.Type, ev.Data, want)
		}
		if err := schemas[names[want]].Value.VisitJSON(data, openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%s %s: %v", ev.Type, ev.Data, err)
		}
	}
}

// TestDocs_SwaggerUI_LoadsNothingFromElsewhere: the page is there whole, packed or not, and names nothing elsewhere.
func TestDocs_SwaggerUI_LoadsNothingFromElsewhere(t *testing.T) {
	r := newHarness(t, withDocs)
	for _, path := range []string{"/docs", "/docs/init.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"} {
		resp, body := get(t, r.base+path, "")
		if resp.StatusCode != http.StatusOK || len(body) < 50 || strings.Contains(resp.Header.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: %s, %d bytes", path, resp.Status, len(body))
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", r.base+"/docs/swagger-ui.css", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); !bytes.Contains(body, []byte(".swagger-ui")) {
		t.Errorf("without gzip: %.40q", body)
	}
	off := newHarness(t, nil)
	for _, path := range []string{"/docs", "/openapi.json"} {
		if got := off.status(path); got != http.StatusNotFound {
			t.Errorf("%s without docs: %d", path, got)
		}
	}
}
