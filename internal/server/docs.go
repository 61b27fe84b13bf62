package server

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

	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui/v5/static"
	"go.yaml.in/yaml/v3"
)

// openAPI is written by hand, since what matters most of it, the stream, is nothing that a
// generator sees. A test holds it to the routes and to real answers.
//
//go:embed openapi.yaml
var openAPI []byte

//go:embed docs.html
var docsHTML []byte

//go:embed docs.js
var docsJS []byte

// docsPolicy lets Swagger UI run its own files, and nothing from elsewhere.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// docsRoutes serve the document, and Swagger UI over it out of the binary.
func (s *Server) docsRoutes(e *echo.Echo) error {
	if !s.opts.Docs {
		return nil
	}
	document, err := s.openAPI()
	if err != nil {
		return fmt.Errorf("openapi.yaml: %w", err)
	}
	e.Match(reading, "/openapi.json", blob("application/json", document))
	e.Match(reading, "/docs", blob("text/html; charset=utf-8", docsHTML))
	e.Match(reading, "/docs/init.js", blob("text/javascript", docsJS))
	for name, kind := range map[string]string{"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"} {
		packed, err := fs.ReadFile(static.FS, name+".gz")
		if err != nil {
			return fmt.Errorf("files of Swagger UI: %w", err)
		}
		e.Match(reading, "/docs/"+name, packedBlob(kind, packed))
	}
	return nil
}

// openAPI is the document of this node: with the paths of its feeds, and without what it does
// not serve.
func (s *Server) openAPI() ([]byte, error) {
	var doc map[string]any
	if err := yaml.Unmarshal(openAPI, &doc); err != nil {
		return nil, err
	}
	doc["info"].(map[string]any)["version"] = cmp.Or(s.opts.Node.Version, "unknown")
	if s.opts.HTTP.BasePath != "" {
		doc["servers"] = []any{map[string]any{"url": s.opts.HTTP.BasePath}}
	}
	paths := doc["paths"].(map[string]any)
	feedPath := paths["/{feed}"].(map[string]any)
	delete(paths, "/{feed}")
	for _, f := range s.opts.Feeds {
		for i, path := range f.Paths {
			get := maps.Clone(feedPath["get"].(map[string]any))
			get["operationId"] = fmt.Sprintf("subscribe-%s-%d", f.Name, i+1)
			get["summary"] = "Stream events of the feed " + f.Name
			get["description"] = fmt.Sprintf("Stream %s. Every connection gets %s; `?subject=` may ask for %s.", f.Stream, list(texts(f.Subjects)), list(texts(f.Allow)))
			paths[path] = map[string]any{"get": get}
		}
	}
	for i, path := range s.identityPaths() {
		get := maps.Clone(paths["/identity"].(map[string]any)["get"].(map[string]any))
		if path != "/identity" {
			get["operationId"] = fmt.Sprintf("identity-%d", i+1)
		}
		paths[path] = map[string]any{"get": get}
	}
	if !s.opts.Publish.Enabled {
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

func blob(kind string, content []byte) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Cache-Control", "no-cache")
		if strings.HasPrefix(kind, "text/html") {
			h.Set("Content-Security-Policy", docsPolicy)
			h.Set("Cross-Origin-Opener-Policy", "same-origin")
		}
		return c.Blob(http.StatusOK, kind, content)
	}
}

// packedBlob sends what is embedded as it is, but to clients that take no gzip.
func packedBlob(kind string, packed []byte) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Cache-Control", "no-cache")
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(c.Request().Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			return c.Blob(http.StatusOK, kind, packed)
		}
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return err
		}
		content, err := io.ReadAll(r) // 1.5 MB, of our own
		if err != nil {
			return err
		}
		return c.Blob(http.StatusOK, kind, content)
	}
}
