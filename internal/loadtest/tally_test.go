package loadtest

import "testing"

func TestTally_Numbers_AreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		received  []int // 0 is an announced gap
		published int
		want      Verdict
	}{
		"all":            {[]int{1, 2, 3}, 3, Verdict{Expected: 3, Delivered: 3}},
		"none":           {nil, 2, Verdict{Expected: 2, Lost: 2}},
		"hole":           {[]int{1, 4}, 4, Verdict{Expected: 4, Delivered: 2, Lost: 2}},
		"end":            {[]int{1}, 3, Verdict{Expected: 3, Delivered: 1, Lost: 2}},
		"late":           {[]int{1, 4, 2, 3}, 4, Verdict{Expected: 4, Delivered: 4, Reordered: 2}},
		"again":          {[]int{1, 2, 2, 1}, 2, Verdict{Expected: 2, Delivered: 2, Repeated: 2}},
		"late twice":     {[]int{3, 2, 2}, 3, Verdict{Expected: 3, Delivered: 2, Lost: 1, Reordered: 1, Repeated: 1}},
		"gap":            {[]int{1, 0, 4}, 4, Verdict{Expected: 2, Delivered: 2, Gaps: 1}},
		"gap, no hole":   {[]int{1, 0, 2, 4}, 4, Verdict{Expected: 4, Delivered: 3, Gaps: 1, Lost: 1}},
		"gap to the end": {[]int{1, 0}, 3, Verdict{Expected: 1, Delivered: 1, Gaps: 1}},
	} {
		tl := tally{next: 1}
		for _, n := range c.received {
			if n == 0 {
				tl.gap()
			} else {
				tl.add(n)
			}
		}
		var v Verdict
		v.addClient("client", &tl, c.published)
		if v.Expected != c.want.Expected || v.Delivered != c.want.Delivered || v.Lost != c.want.Lost ||
			v.Repeated != c.want.Repeated || v.Reordered != c.want.Reordered || v.Gaps != c.want.Gaps {
			t.Errorf("%s: %+v, want %+v", name, v, c.want)
		}
	}
}
