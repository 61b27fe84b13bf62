package feedhttp

import (
	"net/http"
	"strings"
	"testing"
)

func TestTraceID_InvalidTraceparent_IsEmpty(t *testing.T) {
	const (
		trace1  = "4bf92f3577b34da6a3ce929d0e0e4736"
		parent1 = "00-" + trace1 + "-00f067aa0ba902b7-01"
	)
	for parent, want := range map[string]string{
		parent1:                       trace1,
		"cc" + parent1[2:] + "-later": trace1, // a version to come
		"":                            "",
		parent1[:54]:                  "",
		parent1 + "-more":             "",
		"ff" + parent1[2:]:            "",
		"xx" + parent1[2:]:            "",
		strings.ToUpper(parent1):      "",
		"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01":            "",
		"00-" + strings.Repeat("\n", 32) + "-00f067aa0ba902b7-01":           "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01":           "",
		"00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01":           "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902bg-01" + parent1: "",
	} {
		if got := traceIDOf(traceParent(http.Header{"Traceparent": {parent}})); got != want {
			t.Errorf("%q: %q", parent, got)
		}
	}
}
