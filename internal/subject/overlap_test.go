package subject_test

import (
	"testing"

	"github.com/tidemark/tidemark/internal/subject"
)

func TestOverlap_Filters_ShareASubject(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"n.all", "n.all", true},
		{"n.all", "n.any", false},
		{"n.all", "n", false},
		{"n.*", "n.all", true},
		{"n.*", "*.all", true},
		{"n.*", "n.a.b", false},
		{"n.>", "n.a.b", true},
		{"n.>", "n", false},
		{">", "n.*", true},
		{"n.a.*", "n.*.b", true},
		{"n.a.*", "n.b.*", false},
	} {
		if got := subject.Overlap(c.a, c.b); got != c.want {
			t.Errorf("Overlap(%q, %q) = %t", c.a, c.b, got)
		}
		if got := subject.Overlap(c.b, c.a); got != c.want {
			t.Errorf("Overlap(%q, %q) = %t", c.b, c.a, got)
		}
	}
}
