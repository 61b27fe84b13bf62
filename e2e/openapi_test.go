package e2e_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/tidemark/tidemark/pkg/sse"
)

func init() {
	openapi3filter.RegisterBodyDecoder("application/problem+json", openapi3filter.RegisteredBodyDecoder("application/json"))
}

// description is the OpenAPI document of a node, which must be valid.
type description struct {
	t *testing.T
	s *service
	*openapi3.T
}

func describe(t *testing.T, s *service) description {
	t.Helper()
	resp, err := direct.Get(s.url("/openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatalf("%v\n%.300s", err, raw)
	}
	if err := doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
		t.Fatal(err)
	}
	return description{t, s, doc}
}

// TestOpenAPI_Responses_FollowTheDocument compares responses of a node with its document, errors above all.
// That the document has every route is tested in internal/server.
func TestOpenAPI_Responses_FollowTheDocument(t *testing.T) {
	t.Parallel()
	s := serve(t, "--presence.enabled", "--publish.max_bytes=500", "--publish.max_batch=40", "--limits.publishes_per_second=1", "--limits.publishes_burst=40")
	doc := describe(t, s)
	live, err := direct.Get(s.url("/events?user=42")) // for /connections
	if err != nil {
		t.Fatal(err)
	}
	defer live.Body.Close()
	eventually(t, "presence of the connection", func() bool { return status(s.url("/connections/42")) == http.StatusOK })
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
		if status := doc.check(tt.method, tt.path, tt.template, tt.body); status != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, status, tt.want)
		}
	}
	limited := false
	for range 50 {
		if limited = doc.check("POST", "/publish", "/publish", `{"subject":"notifications.broadcast"}`) == http.StatusTooManyRequests; limited {
			break
		}
	}
	if !limited {
		t.Error("50 publishes were not limited")
	}
}

// check sends a request and compares the response with the document.
func (d description) check(method, path, template, body string, header ...string) (status int) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.s.url(path), strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := direct.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	item := d.Paths.Value(template)
	if item == nil {
		d.t.Fatalf("the document does not have %s", template)
	}
	described := method
	if method == http.MethodHead || method == http.MethodPut { // documented with the one method of a path
		described = http.MethodGet
		if item.Get == nil {
			described = http.MethodPost
		}
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: req, Route: &routers.Route{Spec: d.T, Path: template, PathItem: item, Method: described, Operation: item.GetOperation(described)},
		},
		Status: resp.StatusCode, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(raw)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: method == http.MethodHead},
	}
	if err := openapi3filter.ValidateResponse(d.t.Context(), in); err != nil {
		d.t.Errorf("%s %s: %d %s\n%v", method, path, resp.StatusCode, raw, err)
	}
	return resp.StatusCode
}

// TestOpenAPI_ControlEvents_FollowTheirSchemas compares the control events of a connection with the document.
func TestOpenAPI_ControlEvents_FollowTheirSchemas(t *testing.T) {
	t.Parallel()
	s := serve(t, "--sse.heartbeat=1s")
	schemas := describe(t, s).Components.Schemas
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("/events?heartbeat=event"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", "nonsense")
	resp, err := direct.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := sse.NewDecoder(resp.Body)
	names := map[string]string{"tidemark.open": "Open", "tidemark.gap": "Gap", "tidemark.position": "At", "tidemark.close": "Close"}
	for _, want := range []string{"tidemark.open", "tidemark.gap", "tidemark.position", "tidemark.close"} {
		if want == "tidemark.close" {
			s.signal(os.Interrupt)
		}
		ev, err := events.Next()
		for err == nil && ev.Type == "tidemark.position" && want == "tidemark.close" {
			ev, err = events.Next()
		}
		if err != nil || ev.Type != want {
			t.Fatalf("%s %s, %v; want %s", ev.Type, ev.Data, err, want)
		}
		var data any
		if err := json.Unmarshal(ev.Data, &data); err != nil {
			t.Fatalf("%s %s: %v", ev.Type, ev.Data, err)
		}
		if err := schemas[names[want]].Value.VisitJSON(data, openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%s %s: %v", ev.Type, ev.Data, err)
		}
	}
}

// TestOpenAPI_WithoutPublishing_IsValid: the paths of publishing are left out of the document.
func TestOpenAPI_WithoutPublishing_IsValid(t *testing.T) {
	t.Parallel()
	doc := describe(t, serve(t, "--publish.enabled=false"))
	if doc.Paths.Value("/publish") != nil || doc.Paths.Value("/events") == nil {
		t.Errorf("the document has %q", doc.Paths.Keys())
	}
}
