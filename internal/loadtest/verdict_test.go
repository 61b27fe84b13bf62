package loadtest

import (
	"testing"
	"time"
)

// TestVerdictFindsFaults runs against servers that do one thing wrong each.
func TestVerdictFindsFaults(t *testing.T) {
	for name, c := range map[string]struct {
		faults faults
		found  func(Verdict) bool
	}{
		"good":     {faults{}, func(v Verdict) bool { return v.OK() && v.Gaps == 0 }},
		"drops":    {faults{drop: 100}, func(v Verdict) bool { return v.Lost == 4*20 && len(v.First) > 0 }},
		"repeats":  {faults{repeat: 100}, func(v Verdict) bool { return v.Repeated == 4*20 && v.Lost == 0 }},
		"reorders": {faults{swap: 100}, func(v Verdict) bool { return v.Reordered == 4*20 && v.Lost == 0 && v.Repeated == 0 }},
		"says so":  {faults{drop: 100, announce: true}, func(v Verdict) bool { return v.OK() && v.Gaps == 4*20 }},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Load(t.Context(), newDouble(t, c.faults).options(20))
			if err != nil {
				t.Fatal(err)
			}
			if !c.found(r.Verdict) || r.Published != 400 {
				t.Errorf("%d published: %+v", r.Published, r.Verdict)
			}
		})
	}
}

func TestPerUser(t *testing.T) {
	for _, leak := range []int{0, 10} {
		opts := newDouble(t, faults{leak: leak}).options(30)
		opts.Pattern, opts.Users = PerUser, 10
		r, err := Load(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		if v := r.Verdict; v.OK() != (leak == 0) || v.Delivered != 1200 || (v.Foreign > 0) != (leak > 0) {
			t.Errorf("with leak %d: %+v", leak, v)
		}
	}
}

func TestStorm(t *testing.T) {
	opts := newDouble(t, faults{}).options(50)
	opts.For = 100 * time.Millisecond
	r, err := Storm(t.Context(), StormOptions{Options: opts, Missed: 10})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Verdict.OK() || r.Verdict.Delivered != 50*50 || r.CaughtUp <= 0 || r.Connect.Reconnects != 50 {
		t.Errorf("%+v, level after %v, %d reconnects", r.Verdict, r.CaughtUp, r.Connect.Reconnects)
	}
	opts = newDouble(t, faults{replayAll: true}).options(50)
	opts.For = 100 * time.Millisecond
	if r, err = Storm(t.Context(), StormOptions{Options: opts, Missed: 10}); err != nil || r.Verdict.Repeated != 50*40 {
		t.Errorf("a server that replays everything: %+v, %v", r.Verdict, err)
	}
}

// TestSoak lets clients come and go on both engines. A server that drops one event in a
// thousand is caught.
func TestSoak(t *testing.T) {
	for name, c := range map[string]struct {
		faults faults
		http2  bool
		ok     bool
	}{
		"good":              {faults{}, false, true},
		"good over h2c":     {faults{}, true, true},
		"ends streams":      {faults{clean: true}, false, true},
		"drops 1 in 1000":   {faults{drop: 1000}, false, false},
		"ignores positions": {faults{replayAll: true}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			opts := newDouble(t, c.faults).options(40)
			opts.HTTP2, opts.Rate, opts.For = c.http2, 800, 1500*time.Millisecond
			r, err := Soak(t.Context(), SoakOptions{Options: opts, Churn: 100, Absence: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict.OK() != c.ok || r.Connect.Reconnects == 0 || r.Published != 1201 {
				t.Errorf("%d published, %d reconnects: %+v", r.Published, r.Connect.Reconnects, r.Verdict)
			}
			if !c.ok && len(r.Verdict.First) == 0 {
				t.Error("the first violations are not told")
			}
		})
	}
}

func TestTally(t *testing.T) {
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
