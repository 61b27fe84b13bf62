// Package logging makes the logger of the process: its format, a level that can be changed while the
// process runs, and users that are hashed or left out.
//
// Libraries take a *slog.Logger, so that they do not depend on zerolog, which writes the lines.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/term"
)

// New returns a logger on w. Format is json, console, or auto: console when w is a
// terminal. Records below the present level are left out.
func New(w io.Writer, level *Level, format string) (*slog.Logger, error) {
	switch format {
	case "json":
	case "console":
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: !isTerminal(w)}
	case "auto":
		if isTerminal(w) {
			w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
		}
	default:
		return nil, fmt.Errorf("log.format: %q is not one of auto, json, console", format)
	}
	all := zerolog.NewSlogHandler(zerolog.New(w).Level(zerolog.TraceLevel).With().Timestamp().Logger())
	return slog.New(levelHandler{all, level}), nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
