package report

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/tidemark/tidemark/internal/loadtest"
)

// Text writes r as a summary for a terminal, with the verdict at the end. It is written at once. The
// error is that of w.
func Text(w io.Writer, r loadtest.Result) error {
	var b bytes.Buffer
	for _, s := range sections(r) {
		writeSection(&b, s)
	}
	writeViolations(&b, r.Verdict.First)
	j := newVerdict(r)
	fmt.Fprintf(&b, "%s: %s\n", j.Word, j.Why)
	_, err := w.Write(b.Bytes())
	return err
}

// Labels and values have the same width in all sections, so that numbers are aligned. Longer values,
// such as URLs, are not cut.
const (
	labelWidth = 20
	valueWidth = 14
)

func writeSection(b *bytes.Buffer, s section) {
	fmt.Fprintln(b, s.Title)
	for _, r := range s.Rows {
		fmt.Fprintf(b, "%s %-*s  %s%s\n", marker(r), labelWidth, r.Label, alignNumber(r), note(r.Note))
	}
	fmt.Fprintln(b)
}

// marker marks bad values without colours.
func marker(r row) string {
	if r.Bad {
		return "!"
	}
	return " "
}

// alignNumber aligns a number to the right.
func alignNumber(r row) string {
	n := utf8.RuneCountInString(r.Value)
	if n == 0 || n > valueWidth || !startsNumber(r.Value) {
		return r.Value
	}
	return fmt.Sprintf("%*s", valueWidth, r.Value)
}

func startsNumber(s string) bool {
	c, _ := utf8.DecodeRuneInString(s)
	return c >= '0' && c <= '9' || c == '−'
}

func note(s string) string {
	if s == "" {
		return ""
	}
	return "  " + s
}

func writeViolations(b *bytes.Buffer, first []string) {
	if len(first) == 0 {
		return
	}
	fmt.Fprintln(b, "First violations")
	for _, v := range first {
		fmt.Fprintln(b, "!", plain(v))
	}
	fmt.Fprintln(b)
}
