package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/server"
)

func withDocs(o *server.Options) { o.Docs = true }

// describedPaths are the paths of the OpenAPI document of a node. That the document is valid, and that responses
// follow it, is tested in e2e (openapi_test.go), as this module does not depend on a library for OpenAPI.
func (r *harness) describedPaths() []string {
	r.t.Helper()
	_, raw := get(r.t, r.base+"/openapi.json", "")
	var document struct {
		Paths map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		r.t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(document.Paths))
}

var echoParam = regexp.MustCompile(`:(\w+)`)

// describedPath returns a path of Echo in the syntax of OpenAPI.
func describedPath(path string) string {
	if path == "/publish/*" {
		return "/publish/{subject}"
	}
	return echoParam.ReplaceAllString(path, "{$1}")
}

// TestOpenAPI_Document_HasEveryRoute compares the document with the routes in both directions.
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
			described := r.describedPaths()
			slices.Sort(served)
			if !slices.Equal(served, described) {
				t.Errorf("served:    %q\ndescribed: %q", served, described)
			}
		})
	}
}

// TestDocsOffline_Requested_NeedsNoOtherServer checks that the page is complete, compressed or not, and has no URL
// of another server.
func TestDocsOffline_Requested_NeedsNoOtherServer(t *testing.T) {
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
