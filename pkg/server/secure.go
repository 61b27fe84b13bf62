package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log"
	"log/slog"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/pkg/feedhttp"
)

// secure tells browsers what to make of everything that is no stream; Subscribe tells it of
// streams and refusals itself. Echo's Secure knows no Cross-Origin-Resource-Policy, and one
// list for pages, problems and other programs that use the handlers is kept more easily.
//
// Strict-Transport-Security is not set: it would bind all services of this host name, which
// are not ours to speak for.
func (s *Server) secure(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !s.isStream(c.Path()) {
			feedhttp.SecurityHeaders(c.Response().Header())
		}
		return next(c)
	}
}

// pagePolicy lets the page run its own script and style, and nothing that came to be in it:
// they are named by their hash.
func pagePolicy(page []byte) string {
	return fmt.Sprintf("default-src 'none'; script-src %s; style-src %s; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
		hashOf(page, "script"), hashOf(page, "style"))
}

func hashOf(page []byte, tag string) string {
	_, rest, _ := bytes.Cut(page, []byte("<"+tag+">"))
	inner, _, ok := bytes.Cut(rest, []byte("</"+tag+">"))
	if !ok {
		return "'none'"
	}
	sum := sha256.Sum256(inner)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// errorLog is for what net/http complains of, mostly strangers at the port: failed handshakes.
// It may quote requests, and those may hold tokens.
func errorLog(logger *slog.Logger) *log.Logger { return log.New(complaints{logger}, "", 0) }

type complaints struct{ logger *slog.Logger }

func (c complaints) Write(line []byte) (int, error) {
	c.logger.Debug(redactWords(strings.TrimRight(string(line), "\n")))
	return len(line), nil
}

// redactWords redacts URLs within a text.
func redactWords(text string) string {
	if !strings.ContainsAny(text, "=") {
		return text
	}
	var out strings.Builder
	for text != "" {
		end := strings.IndexAny(text, " \t\n\"'")
		if end < 0 {
			end = len(text)
		}
		// As a query: what is a token's stands behind its name, with or without a path before.
		out.WriteString(auth.Redact("?" + text[:end])[1:])
		if end < len(text) {
			out.WriteByte(text[end])
			end++
		}
		text = text[end:]
	}
	return out.String()
}
