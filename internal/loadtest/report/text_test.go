package report

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/tidemark/tidemark/internal/loadtest"
)

func TestText(t *testing.T) {
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

// What a server answers must not reach the terminal as commands.
func TestTextHasNoControlCharacters(t *testing.T) {
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

func TestTextTellsTheWritersError(t *testing.T) {
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

func TestSpan(t *testing.T) {
	tests := []struct {
		d    time.Duration
		want string
	}{
		{0, "0"}, {999, "999 ns"}, {1500, "1.50 µs"}, {999_600, "1.00 ms"}, {99_960_000, "100 ms"},
		{1234567 * time.Microsecond, "1.23 s"}, {119 * time.Second, "119 s"}, {125 * time.Second, "2 min 5 s"},
		{3 * time.Hour, "3 h"}, {-time.Millisecond, "−1.00 ms"}, {-1 << 63, "−106,751 d 23 h"},
	}
	for _, tt := range tests {
		if got := duration(tt.d); got != tt.want {
			t.Errorf("duration(%d) = %q, want %q", tt.d, got, tt.want)
		}
	}
}

func TestPlain(t *testing.T) {
	tests := []struct{ in, want string }{
		{"nats://user:pw@host:4222", "nats://…@host:4222"},
		{"nats://token@host", "nats://…@host"},
		{"http://h/a@b?user={{.User}}", "http://h/a@b?user={{.User}}"},
		{"http://h/?user=1&access_token=abc&x=2", "http://h/?user=1&access_token=…&x=2"},
		{`Get "http://h/?jwt=abc": EOF`, `Get "http://h/?jwt=…": EOF`},
		{"a\x1b[2Jb\r\nc\u202ed\xff", "a [2Jb  c d?"},
	}
	for _, tt := range tests {
		if got := plain(tt.in); got != tt.want {
			t.Errorf("plain(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
func TestShare(t *testing.T) {
	for _, tt := range []struct {
		part, whole float64
		want        string
	}{{0, 0, none}, {0, 5, "0 %"}, {5, 5, "100 %"}, {99999999, 1e8, "> 99.99 %"}, {1, 1e8, "< 0.01 %"}, {1, 8, "12.5 %"}} {
		if got := share(tt.part, tt.whole); got != tt.want {
			t.Errorf("share(%v, %v) = %q, want %q", tt.part, tt.whole, got, tt.want)
		}
	}
}
