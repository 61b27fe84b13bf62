package loadtest

import (
	"testing"
	"time"
)

// Each server has one fault.
func TestLoad_FaultyServer_VerdictFindsIt(t *testing.T) {
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
			r, err := Load(t.Context(), newFakeServer(t, c.faults).options(20))
			if err != nil {
				t.Fatal(err)
			}
			if !c.found(r.Verdict) || r.Published != 400 {
				t.Errorf("%d published: %+v", r.Published, r.Verdict)
			}
		})
	}
}

func TestLoad_PerUser_CountsForeignEvents(t *testing.T) {
	for _, leak := range []int{0, 10} {
		opts := newFakeServer(t, faults{leak: leak}).options(30)
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

func TestStorm_AllReconnect_MeasuresCatchUp(t *testing.T) {
	opts := newFakeServer(t, faults{}).options(50)
	opts.For = 100 * time.Millisecond
	r, err := Storm(t.Context(), StormOptions{Options: opts, Missed: 10})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Verdict.OK() || r.Verdict.Delivered != 50*50 || r.CaughtUp <= 0 || r.Connect.Reconnects != 50 {
		t.Errorf("%+v, caught up after %v, %d reconnects", r.Verdict, r.CaughtUp, r.Connect.Reconnects)
	}
	opts = newFakeServer(t, faults{replayAll: true}).options(50)
	opts.For = 100 * time.Millisecond
	if r, err = Storm(t.Context(), StormOptions{Options: opts, Missed: 10}); err != nil || r.Verdict.Repeated != 50*40 {
		t.Errorf("a server that replays everything: %+v, %v", r.Verdict, err)
	}
}

func TestSoak_Disruptions_VerdictIsExact(t *testing.T) {
	for name, c := range map[string]struct {
		faults faults
		over   protocol
		ok     bool
	}{
		"good":                        {faults{}, protocol{}, true},
		"good over h2c":               {faults{}, protocol{http2: true}, true},
		"good over TLS":               {faults{}, protocol{tls: true}, true},
		"good over TLS and HTTP/2":    {faults{}, protocol{tls: true, http2: true}, true},
		"good over shared HTTP/2":     {faults{}, protocol{tls: true, http2: true, streams: 8}, true},
		"good without epoll":          {faults{}, protocol{portable: true}, true},
		"good over h2c without epoll": {faults{}, protocol{http2: true, portable: true}, true},
		"ends streams":                {faults{endResponses: true}, protocol{}, true},
		"ends streams over TLS":       {faults{endResponses: true}, protocol{tls: true}, true},
		"ends streams over HTTP/2":    {faults{endResponses: true}, protocol{tls: true, http2: true, streams: 8}, true},
		"drops 1 in 1000":             {faults{drop: 1000}, protocol{}, false},
		"drops 1 in 1000 over HTTP/2": {faults{drop: 1000}, protocol{tls: true, http2: true}, false},
		"ignores positions":           {faults{replayAll: true}, protocol{}, false},
		"ignores positions, HTTP/2":   {faults{replayAll: true}, protocol{tls: true, http2: true}, false},
	} {
		if testing.Short() && (c.faults != faults{} || c.over.portable) {
			continue // these differ in the server or in net/http
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := c.over.options(c.over.server(t, c.faults), 40)
			opts.Rate, opts.For = 800, 1500*time.Millisecond
			r, err := Soak(t.Context(), SoakOptions{Options: opts, Churn: 100, Absence: 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict.OK() != c.ok || r.Connect.Reconnects == 0 || r.Published != 1201 {
				t.Errorf("%d published, %d reconnects: %+v", r.Published, r.Connect.Reconnects, r.Verdict)
			}
			if !c.ok && len(r.Verdict.First) == 0 {
				t.Error("the first violations are missing")
			}
		})
	}
}
