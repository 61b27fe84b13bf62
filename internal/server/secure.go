package server

import (
	"log"
	"log/slog"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/auth"
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
			problem.SecurityHeaders(c.Response().Header())
		}
		return next(c)
	}
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
