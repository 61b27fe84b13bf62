package server

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"
)

// NewLogger returns a logger that writes to w. Format is json, console, or auto: console
// when w is a terminal. What is below the level at the time is left out.
//
// Libraries get slog, so that they do not depend on what the process logs with.
func NewLogger(w io.Writer, level *LogLevel, format string) (*slog.Logger, error) {
	switch format {
	case "json":
	case "console":
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: !isTerminal(w)}
	case "auto":
		if isTerminal(w) {
			w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
		}
	default:
		return nil, fmt.Errorf("log.format: %q is none of auto, json, console", format)
	}
	all := zerolog.NewSlogHandler(zerolog.New(w).Level(zerolog.TraceLevel).With().Timestamp().Logger())
	return slog.New(levelHandler{all, level}), nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
