package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"
)

// State keeps a position. Follow calls it from one goroutine at a time.
type State interface {
	// Load returns what was saved last; empty when nothing was.
	Load() (position string, err error)
	// Save keeps position. Follow calls it after each event, before it reads the next.
	Save(position string) error
}

type noState struct{}

func (noState) Load() (string, error) { return "", nil }
func (noState) Save(string) error     { return nil }

// FileState keeps the position in a file of one line. Its directory must exist.
//
// A missing file is a fresh start; a file that holds no position is an error that wraps
// ErrState, because to begin anew silently would repeat or lose events. Save writes a
// temporary file beside it and renames that over it, so a process that dies at any time
// leaves the old position or the new one. It does not wait for the disk, which would cost
// milliseconds an event: after a loss of power the file may be older, and events repeat.
//
// Two processes must not share a file.
func FileState(path string) State { return fileState(path) }

// ErrState reports a state file that holds no position.
var ErrState = errors.New("not a position")

type fileState string

func (f fileState) Load() (string, error) {
	b, err := os.ReadFile(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read state: %w", err)
	}
	position := strings.TrimRight(string(b), "\r\n")
	if err := checkPosition(position); err != nil {
		return "", fmt.Errorf("state file %s: %w: %w; remove it to start afresh", string(f), ErrState, err)
	}
	return position, nil
}

func (f fileState) Save(position string) error {
	if err := f.replace(position + "\n"); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// replace uses one name for the temporary file, so that a killed process leaves no more
// than one behind.
func (f fileState) replace(text string) error {
	tmp := string(f) + ".tmp"
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, string(f))
}

// maxPosition is far above what Tidemark needs (54 bytes), for other servers' ids.
const maxPosition = 1024

// checkPosition says why s cannot go back as a Last-Event-ID header. net/http refuses a
// request with control characters in it, time and again.
func checkPosition(s string) error {
	switch {
	case s == "":
		return errors.New("it is empty")
	case len(s) > maxPosition:
		return fmt.Errorf("it has %d bytes, more than %d", len(s), maxPosition)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, isControl):
		return errors.New("it is not one line of plain text")
	case strings.TrimSpace(s) != s:
		return errors.New("it has spaces around it")
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
