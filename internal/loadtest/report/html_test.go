package report

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/loadtest"
)

func TestHTML_AnyResult_IsWellFormed(t *testing.T) {
	for name, r := range runs() {
		t.Run(name, func(t *testing.T) {
			got := htmlOf(t, r)
			saveForReview(t, name, got)
			ids := map[string]bool{}
			d := xml.NewDecoder(strings.NewReader(got))
			for {
				tok, err := d.Token()
				if errors.Is(err, io.EOF) {
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if e, ok := tok.(xml.StartElement); ok {
					checkElement(t, e, ids)
				}
			}
		})
	}
}

// saveForReview writes pages to the directory that REPORT_DIR names, for a browser.
func saveForReview(t *testing.T, name, got string) {
	t.Helper()
	if dir := os.Getenv("REPORT_DIR"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".html"), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// checkElement checks that the page is self-contained, that its ids are unique, and that every coordinate is a
// finite number within the plot. The y axis of the library points upwards.
func checkElement(t *testing.T, e xml.StartElement, ids map[string]bool) {
	t.Helper()
	switch e.Name.Local {
	case "script", "link", "img", "iframe", "image", "use", "b":
		t.Errorf("unexpected element %s", e.Name.Local)
	}
	for _, a := range e.Attr {
		switch a.Name.Local {
		case "id":
			if ids[a.Value] {
				t.Errorf("id %q is not unique", a.Value)
			}
			ids[a.Value] = true
		case "href", "src":
			t.Errorf("%s loads %q", e.Name.Local, a.Value)
		case "x", "y", "x1", "x2", "y1", "y2", "cx", "cy":
			if v, err := strconv.ParseFloat(a.Value, 64); err != nil || v < -sizes[0].width.Points() || v > sizes[0].width.Points() {
				t.Errorf("%s: %s=%q is outside of the plot", e.Name.Local, a.Name.Local, a.Value)
			}
		case "d":
			if strings.ContainsAny(a.Value, "NI") {
				t.Errorf("path %q has no finite coordinates", a.Value)
			}
		}
	}
}

func TestHTML_Result_HasTexts(t *testing.T) {
	tests := []struct {
		run  string
		want []string
		not  []string
	}{
		{"load", []string{"PASS", "1,000,000/s", "9.52 KiB", "p50 3.04 ms", "99.99 %", "deliveries a second", "broadcast", "<desc"}, []string{"FAIL", "Until caught up"}},
		{"burst", []string{"1,000,000 in 800 ms, from when the burst was due to the last receipt", "in bursts of 200"}, nil},
		{"storm", []string{"Until caught up", "4.32 s", "1 announced gap"}, nil},
		{"soak", []string{"FAIL", "3,601 events short", "&lt;script&gt;", "&lt;b&gt;gone", "Each point covers 20 samples", "process_resident_memory_bytes", "40.0 MiB before the first client, 40.0 MiB at the end", "The metric was never seen."}, []string{"<script", "hunter2", "s3cret", "\x1b"}},
		{"empty", []string{"NO VERDICT", "No samples were taken.", "No latencies were recorded."}, []string{"<svg", "NaN"}},
		{"one", []string{"A3,3", "p99 1.50 ms"}, nil},
		{"huge", []string{"FAIL"}, []string{"NaN", "Inf"}},
	}
	for _, tt := range tests {
		t.Run(tt.run, func(t *testing.T) {
			got := htmlOf(t, runs()[tt.run])
			for _, s := range tt.want {
				if !strings.Contains(got, s) {
					t.Errorf("%q is missing", s)
				}
			}
			for _, s := range tt.not {
				if strings.Contains(got, s) {
					t.Errorf("%q is in the page", s)
				}
			}
		})
	}
}

func htmlOf(t *testing.T, r loadtest.Result) string {
	t.Helper()
	var b strings.Builder
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
