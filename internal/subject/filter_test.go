package subject_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/tidemark/tidemark/internal/subject"
)

func TestSubjects(t *testing.T) {
	for _, s := range []string{"a", "a.b", "notifications.user.42", "ünïcode.ok", "a-b_c:d/e", "a.b%2Ec", "a." + strings.Repeat("%2E", 255), strings.Repeat("a", 1024)} {
		if err := subject.Check(s); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"", ".", "a.", ".a", "a..b", "a.*", ">", "a b", "a\tb", "a\r\nb", "a\x00", "a.b*", "a.>.b", "a\xff", "a\u2028b", "a.b%40c", "a.b%2e", "a.100%", strings.Repeat("a", 1025)} {
		if err := subject.Check(s); err == nil {
			t.Errorf("subject %q is taken", s)
		}
	}
	for _, s := range []string{"*", ">", "a.*.c", "a.>"} {
		if err := subject.CheckFilter(s); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"", "a.>.c", "a.b>", "a.**", "a. .b"} {
		if err := subject.CheckFilter(s); err == nil {
			t.Errorf("filter %q is taken", s)
		}
	}
}

func TestSubset(t *testing.T) {
	for _, c := range []struct {
		inner, outer string
		want         bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.*", true}, {"a.b", "a.>", true}, {"a.b", ">", true},
		{"a.*", "a.>", true}, {"a.*", "*.*", true}, {"a.>", "a.>", true}, {"a.>", ">", true},
		{"a.*", "a.b", false}, {"a.>", "a.*", false}, {"a", "a.>", false}, {"a.b.c", "a.*", false},
		{"a.b", "a.b.c", false}, {"*", "a", false}, {">", "*", false}, {"a.*.c", "a.b.c", false},
	} {
		if got := subject.Subset(c.inner, c.outer); got != c.want {
			t.Errorf("Subset(%q, %q) = %v", c.inner, c.outer, got)
		}
	}
}

// FuzzSubset compares with nats-server's own judgement.
func FuzzSubset(f *testing.F) {
	f.Add("a.*.c", "a.>")
	f.Add("a.b", "*.b")
	f.Fuzz(func(t *testing.T, inner, outer string) {
		if subject.CheckFilter(inner) != nil || subject.CheckFilter(outer) != nil {
			t.Skip()
		}
		if !server.IsValidSubject(inner) {
			t.Errorf("nats-server refuses %q", inner)
		}
		if got, want := subject.Subset(inner, outer), server.SubjectMatchesFilter(inner, outer); subject.Check(inner) == nil && got != want {
			t.Errorf("Subset(%q, %q) = %v, nats-server says %v", inner, outer, got, want)
		}
	})
}

func TestMergeFilters(t *testing.T) {
	got := subject.MergeFilters([]string{"a.b", "a.*", "c", "a.*", "d.>", "d.e.f", "*.x"})
	if want := []string{"*.x", "a.*", "c", "d.>"}; !slices.Equal(got, want) {
		t.Errorf("merged to %v, want %v", got, want)
	}
}
