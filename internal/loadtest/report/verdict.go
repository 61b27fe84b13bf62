package report

import (
	"strings"

	"github.com/tidemark/tidemark/internal/loadtest"
)

// judgement is the verdict in a word and a sentence.
type judgement struct {
	Word, Why string
	Class     string // of the page's banner
}

func judge(r loadtest.Result) judgement {
	v := r.Verdict
	switch {
	case !v.OK():
		return judgement{"FAIL", wrongs(v), "fail"}
	case v.Expected == 0:
		return judgement{"NO VERDICT", "no delivery was due, so nothing is proved", "void"}
	case v.Gaps > 0:
		return judgement{"PASS", "every event due arrived once and in order, but for " + things(v.Gaps, "announced gap"), "pass"}
	default:
		return judgement{"PASS", "every event due arrived once and in order", "pass"}
	}
}

// wrongs lists what went wrong, such as "3 events short, 1 event repeated".
func wrongs(v loadtest.Verdict) string {
	var said []string
	for _, w := range []struct {
		n    int
		what string
	}{{v.Lost, "short"}, {v.Repeated, "repeated"}, {v.Reordered, "reordered"}, {v.Foreign, "meant for another user"}} {
		if w.n != 0 {
			said = append(said, things(w.n, "event")+" "+w.what)
		}
	}
	return strings.Join(said, ", ")
}

func things(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return count(n) + " " + what
}
