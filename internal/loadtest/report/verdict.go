package report

import (
	"strings"

	"github.com/tidemark/tidemark/internal/loadtest"
)

// verdict is the result of a run in a word and a sentence.
type verdict struct {
	Word, Why string
	Class     string // of the page's banner
}

func newVerdict(r loadtest.Result) verdict {
	v := r.Verdict
	switch {
	case !v.OK():
		return verdict{"FAIL", failures(v), "fail"}
	case v.Expected == 0:
		return verdict{"NO VERDICT", "no delivery was due, so nothing is proved", "void"}
	case v.Gaps > 0:
		return verdict{"PASS", "every event due arrived once and in order, but for " + plural(v.Gaps, "announced gap"), "pass"}
	default:
		return verdict{"PASS", "every event due arrived once and in order", "pass"}
	}
}

// failures lists the failures, such as "3 events short, 1 event repeated".
func failures(v loadtest.Verdict) string {
	var parts []string
	for _, w := range []struct {
		n    int
		what string
	}{{v.Lost, "short"}, {v.Repeated, "repeated"}, {v.Reordered, "reordered"}, {v.Foreign, "meant for another user"}} {
		if w.n != 0 {
			parts = append(parts, plural(w.n, "event")+" "+w.what)
		}
	}
	return strings.Join(parts, ", ")
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return count(n) + " " + what
}
