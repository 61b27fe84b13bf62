package server

import (
	"bytes"
	_ "embed"
	"html"
	"net/http"

	"github.com/labstack/echo/v4"
)

//go:embed page.html
var pageHTML []byte

// page is where a browser sees events arrive. Everything is in the one file, but for the path
// of the feed.
func (s *Server) page() echo.HandlerFunc {
	content := bytes.ReplaceAll(pageHTML, []byte("{{.}}"), []byte(html.EscapeString(s.eventPath())))
	policy := pagePolicy(content)
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		return c.Blob(http.StatusOK, "text/html; charset=utf-8", content)
	}
}
