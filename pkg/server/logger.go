package server

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
)

// NewLogger returns a logger that writes to w. Format is json, console, or auto: console
// when w is a terminal. Level is trace, debug, info, warn or error.
//
// Libraries get slog, so that they do not depend on what the process logs with.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	min, err := zerolog.ParseLevel(level)
	if err != nil || level == "" {
		return nil, fmt.Errorf("log.level: %q is none of trace, debug, info, warn, error", level)
	}
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
	return slog.New(zerolog.NewSlogHandler(zerolog.New(w).Level(min).With().Timestamp().Logger())), nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
