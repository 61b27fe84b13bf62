// Package apidocs serves the OpenAPI document of a node at /openapi.json, and Swagger UI over it at /docs.
//
// The document is openapi.yaml with the paths of the node's feeds, and without routes that are off.
// Swagger UI is embedded and loads nothing from elsewhere.
package apidocs

import (
	"bytes"
	"cmp"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"strings"

	"github.com/swaggest/swgui/v5/static"
	"go.yaml.in/yaml/v3"
)

// openAPI is written by hand, because generators do not see its main part, the streams of events. A test
// compares it with the routes and with real answers.
//
//go:embed openapi.yaml
var openAPI []byte

//go:embed docs.html
var docsHTML []byte

//go:embed docs.js
var docsJS []byte

// docsPolicy lets Swagger UI run its own files, and nothing from elsewhere.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// Options describe what a node serves.
type Options struct {
	Version       string // of the build
	BasePath      string // of all routes; empty for none
	Feeds         []Feed
	IdentityPaths []string
	Publish       bool // over HTTP
}

// Feed is one feed of the document.
type Feed struct {
	Name, Stream    string
	Paths           []string
	Subjects, Allow []string // templates
}

// Handlers returns the handlers by their path. They are for GET and HEAD.
func Handlers(opts Options) (map[string]http.Handler, error) {
	document, err := opts.document()
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	handlers := map[string]http.Handler{
		"/openapi.json": blob("application/json", document),
		"/docs":         blob("text/html; charset=utf-8", docsHTML),
		"/docs/init.js": blob("text/javascript", docsJS),
	}
	for name, kind := range map[string]string{"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"} {
		packed, err := fs.ReadFile(static.FS, name+".gz")
		if err != nil {
			return nil, fmt.Errorf("files of Swagger UI: %w", err)
		}
		handlers["/docs/"+name] = packedBlob(kind, packed)
	}
	return handlers, nil
}

func (o Options) document() ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(openAPI, &doc); err != nil {
		return nil, err
	}
	doc["info"].(map[string]any)["version"] = cmp.Or(o.Version, "unknown")
	if o.BasePath != "" {
		doc["servers"] = []any{map[string]any{"url": o.BasePath}}
	}
	paths := doc["paths"].(map[string]any)
	feedPath := paths["/{feed}"].(map[string]any)
	delete(paths, "/{feed}")
	for _, f := range o.Feeds {
		for i, path := range f.Paths {
			get := maps.Clone(feedPath["get"].(map[string]any))
			get["operationId"] = fmt.Sprintf("subscribe-%s-%d", f.Name, i+1)
			get["summary"] = "Subscribe to the feed " + f.Name
			get["description"] = fmt.Sprintf("Stream %s. Each connection receives %s; `?subject=` can add %s.", f.Stream, list(f.Subjects), list(f.Allow))
			paths[path] = map[string]any{"get": get}
		}
	}
	for i, path := range o.IdentityPaths {
		get := maps.Clone(paths["/identity"].(map[string]any)["get"].(map[string]any))
		if path != "/identity" {
			get["operationId"] = fmt.Sprintf("identity-%d", i+1)
		}
		paths[path] = map[string]any{"get": get}
	}
	if !o.Publish {
		delete(paths, "/publish")
		delete(paths, "/publish/{subject}")
		delete(paths, "/api/events/send-message")
	}
	return json.Marshal(doc)
}

func list(texts []string) string {
	if len(texts) == 0 {
		return "nothing"
	}
	return "`" + strings.Join(texts, "`, `") + "`"
}

func blob(kind string, content []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Type", kind)
		if strings.HasPrefix(kind, "text/html") {
			h.Set("Content-Security-Policy", docsPolicy)
			h.Set("Cross-Origin-Opener-Policy", "same-origin")
		}
		_, _ = w.Write(content) // fails when the client has disconnected
	})
}

// packedBlob sends the gzipped content, and unpacks it for clients that do not accept gzip.
func packedBlob(kind string, packed []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-cache")
		h.Set("Vary", "Accept-Encoding")
		h.Set("Content-Type", kind)
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed)
			return
		}
		content, err := gzip.NewReader(bytes.NewReader(packed))
		if err == nil {
			_, err = io.Copy(w, content) //nolint:gosec // G110: 1.5 MB, embedded
		}
		if err != nil {
			panic(http.ErrAbortHandler) // the client has disconnected, or the embedded file is damaged
		}
	})
}
