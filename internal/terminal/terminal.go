// Package terminal prints text of other programs for people: events, errors and names may contain anything.
//
// Control characters, and format characters that change the direction of text, are escaped, so that they
// cannot control the terminal.
package terminal

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape returns text without control characters for terminals.
func Escape(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, controls) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if controls(r) || r == utf8.RuneError {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// controls reports control characters, and format characters that change the direction of text.
func controls(r rune) bool {
	return unicode.IsControl(r) && r != '\t' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// PrintJSON writes a value as indented JSON, for terminals and jq.
func PrintJSON(out io.Writer, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if _, err := fmt.Fprintln(out, escapeJSON(line)); err != nil {
			return err
		}
	}
	return nil
}

// escapeJSON escapes a line of JSON, where such characters are within strings only.
func escapeJSON(line string) string {
	if !strings.ContainsFunc(line, controls) {
		return line
	}
	var b strings.Builder
	for _, r := range line {
		if controls(r) {
			fmt.Fprintf(&b, `\u%04x`, r) // all of them lie below U+10000
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
