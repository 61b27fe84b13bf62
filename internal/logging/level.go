package logging

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
)

// levelTrace lies below slog's own levels, where zerolog has its trace.
const levelTrace = slog.LevelDebug - 4

var levels = map[string]slog.Level{
	"trace": levelTrace, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

// Level is the least level of logged records. It can be changed at any time; zero is info.
type Level struct{ level atomic.Int64 }

// ParseLevel reads trace, debug, info, warn or error.
func ParseLevel(text string) (*Level, error) {
	var l Level
	return &l, l.Set(text)
}

// Set changes the level to trace, debug, info, warn or error.
func (l *Level) Set(text string) error {
	level, ok := levels[text]
	if !ok {
		return fmt.Errorf("%q is not one of trace, debug, info, warn, error", text)
	}
	l.level.Store(int64(level))
	return nil
}

// Level is for slog.
func (l *Level) Level() slog.Level { return slog.Level(l.level.Load()) }

// String returns the level in the form of Set.
func (l *Level) String() string {
	for name, level := range levels {
		if level == l.Level() {
			return name
		}
	}
	return l.Level().String()
}

// levelHandler reads the level with each record. The level of zerolog is fixed once a logger was
// derived from another.
type levelHandler struct {
	slog.Handler
	level *Level
}

func (h levelHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// Handle leaves out fields without a value, such as the error of a connection that the server closed
// without one: "error": null in a line reads like a defect.
func (h levelHandler) Handle(ctx context.Context, r slog.Record) error {
	empty := false
	r.Attrs(func(a slog.Attr) bool {
		empty = isNil(a)
		return !empty
	})
	if !empty {
		return h.Handler.Handle(ctx, r)
	}
	clean := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if !isNil(a) {
			clean.AddAttrs(a)
		}
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func isNil(a slog.Attr) bool { return a.Value.Kind() == slog.KindAny && a.Value.Any() == nil }

func (h levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return levelHandler{h.Handler.WithAttrs(attrs), h.level}
}

func (h levelHandler) WithGroup(name string) slog.Handler {
	return levelHandler{h.Handler.WithGroup(name), h.level}
}
