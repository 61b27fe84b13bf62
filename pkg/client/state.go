package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"
)

// State stores a position. Follow calls it from one goroutine at a time.
type State interface {
	// Load returns the position saved last, or "" if there is none.
	Load() (position string, err error)
	// Save stores position. Follow calls it after each event, before it reads the next.
	Save(position string) error
}

type noState struct{}

func (noState) Load() (string, error) { return "", nil }
func (noState) Save(string) error     { return nil }

// FileState stores the position in a file of one line. Its directory must exist.
//
// If the file does not exist, there is no position yet. If its content is not a position, Load
// returns an error that wraps ErrState: starting without the position would repeat or lose
// events.
//
// Save writes a temporary file in the same directory and renames it, so that the file contains the old
// or the new position if the process is killed. Save does not call fsync, which would take
// milliseconds per event: after a power failure the file may be older, and events are repeated.
//
// Two processes must not share a file.
func FileState(path string) State { return fileState(path) }

// ErrState reports a state file without a valid position.
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
		return "", fmt.Errorf("state file %s: %w: %w; remove it to start without a position", string(f), ErrState, err)
	}
	return position, nil
}

func (f fileState) Save(position string) error {
	if err := f.replace(position + "\n"); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// replace writes the file through a temporary file. The temporary file always has the same name, so
// that killed processes leave at most one.
func (f fileState) replace(text string) error {
	tmp := string(f) + ".tmp"
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, string(f))
}

// maxPosition is the longest accepted position, in bytes. Positions of Tidemark have at most 54 bytes;
// the rest is for the ids of other servers.
const maxPosition = 1024

// checkPosition returns an error if s cannot be sent as a Last-Event-ID header. net/http rejects
// every request with control characters in a header, so retries would fail too.
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
