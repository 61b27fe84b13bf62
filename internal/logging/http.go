package logging

import (
	"log"
	"log/slog"
	"strings"

	"github.com/tidemark/tidemark/pkg/auth"
)

// HTTPErrors returns the error log of an [net/http.Server]. Its lines are mostly about strangers at
// the port, such as failed handshakes, and have the level debug. Tokens in URLs are redacted.
func HTTPErrors(logger *slog.Logger) *log.Logger { return log.New(httpErrorLog{logger}, "", 0) }

type httpErrorLog struct{ logger *slog.Logger }

func (l httpErrorLog) Write(line []byte) (int, error) {
	l.logger.Debug(redactWords(strings.TrimRight(string(line), "\n")))
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
		// As a query: a token follows its name, with or without a path before.
		out.WriteString(auth.Redact("?" + text[:end])[1:])
		if end < len(text) {
			out.WriteByte(text[end])
			end++
		}
		text = text[end:]
	}
	return out.String()
}
