package report

import (
	"errors"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/tidemark/tidemark/internal/loadtest"
)

func TestText_Result_HasTexts(t *testing.T) {
	tests := []struct {
		run  string
		want []string
		not  []string
	}{
		{"load", []string{"PASS: every event due", "60,000,000  1,000,000/s", "800 ns a delivery", "9.52 KiB", "p99.9", "1.23 s", "tidemark (pid 4242)"}, []string{"!", "caught up", "burst", "receipt"}},
		{"burst", []string{"200  3.33/s in bursts of 200", "1,250,000/s in 800 ms, from when the burst was due", "asked for in bursts of 200"}, []string{"!"}},
		{"storm", []string{"until all caught up", "4.32 s", "1 announced gap"}, []string{"!"}},
		{"soak", []string{"FAIL: 3,601 events short, 1 event repeated, 12 events reordered\n", "! short", "! failed", "connection refused", "First violations\n! client 17", "Server's metrics", "at the end; 1 before, 9 at most", "never seen"}, []string{"hunter2", "s3cret", "foreign user", "PASS"}},
		{"empty", []string{"NO VERDICT", "no event arrived"}, []string{"PASS", "NaN"}},
		{"huge", []string{"FAIL", "meant for another user", "106,751 d 23 h"}, []string{"NaN", "Inf", "podd"}},
		{"zeros", []string{"NO VERDICT", "p50"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.run, func(t *testing.T) {
			got := textOf(t, runs()[tt.run])
			if os.Getenv("REPORT_SHOW") != "" {
				t.Log("\n" + got)
			}
			for _, s := range tt.want {
				if !strings.Contains(got, s) {
					t.Errorf("%q is missing in\n%s", s, got)
				}
			}
			for _, s := range tt.not {
				if strings.Contains(got, s) {
					t.Errorf("%q is in\n%s", s, got)
				}
			}
		})
	}
}

// Answers of a server must not control the terminal.
func TestText_AnyResult_HasNoControlCharacters(t *testing.T) {
	for name, r := range runs() {
		for line := range strings.Lines(textOf(t, r)) {
			line = strings.TrimSuffix(line, "\n")
			if i := strings.IndexFunc(line, unicode.IsControl); i >= 0 {
				t.Errorf("%s: control character in %q", name, line)
			}
			if strings.TrimRight(line, " ") != line {
				t.Errorf("%s: %q ends with a space", name, line)
			}
		}
	}
}

func TestTextAndHTML_WriterFails_ReturnItsError(t *testing.T) {
	gone := errors.New("gone")
	if err := Text(failing{gone}, loadRun()); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	if err := HTML(failing{gone}, loadRun()); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func textOf(t *testing.T, r loadtest.Result) string {
	t.Helper()
	var b strings.Builder
	if err := Text(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
