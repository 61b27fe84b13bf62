package loadtest

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The verdict does not depend on the form.
func TestLoad_AnyForm_SameVerdict(t *testing.T) {
	for _, form := range forms {
		for name, p := range map[string]protocol{
			"TLS": {tls: true}, "TLS, HTTP/2, shared": {tls: true, http2: true, streams: 10}, "no epoll": {portable: true},
		} {
			t.Run(fmt.Sprint(form, ", ", name), func(t *testing.T) {
				t.Parallel()
				// The last event is not dropped: the run does not wait for it.
				d := p.server(t, faults{drop: 101, repeat: 90, swap: 70})
				opts := p.options(d, 20)
				opts.Form, opts.Rate, opts.For = form, 800, 500*time.Millisecond
				r, err := Load(t.Context(), opts)
				if err != nil {
					t.Fatal(err)
				}
				r.Verdict.First = nil
				want := Verdict{Expected: 20 * 400, Delivered: 20 * 397, Lost: 20 * 3, Repeated: 20 * 4, Reordered: 20 * 5}
				if !reflect.DeepEqual(r.Verdict, want) || r.Form != form || r.Connect.Failed > 0 {
					t.Errorf("%+v, want %+v; %+v", r.Verdict, want, r.Connect)
				}
				if n := d.socketCount(); n != p.sockets(20) && !p.portable {
					t.Errorf("%d sockets, want %d", n, p.sockets(20))
				}
			})
		}
	}
}

func TestLoad_AnnouncedGaps_AreCountedInAnyForm(t *testing.T) {
	for _, form := range forms {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			opts := protocol{}.options(newFakeServer(t, faults{drop: 101, announce: true}), 20)
			opts.Form = form
			r, err := Load(t.Context(), opts)
			if err != nil || !r.Verdict.OK() || r.Verdict.Gaps != 20*3 || r.Verdict.Expected != 20*397 {
				t.Errorf("%+v, %v", r.Verdict, err)
			}
		})
	}
}

func TestSoak_AnyForm_VerdictIsExact(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute; TestLoad_AnyForm_SameVerdict reads the forms")
	}
	for _, form := range forms {
		for name, c := range map[string]struct {
			faults faults
			over   protocol
			lost   int
		}{
			"good over HTTP/2":         {faults{}, protocol{tls: true, http2: true}, 0},
			"drops 1 in 1000 over TLS": {faults{drop: 1000}, protocol{tls: true}, 40},
		} {
			t.Run(fmt.Sprint(form, ", ", name), func(t *testing.T) {
				t.Parallel()
				opts := c.over.options(c.over.server(t, c.faults), 40)
				opts.Form, opts.Rate, opts.For = form, 800, 1500*time.Millisecond
				r, err := Soak(t.Context(), SoakOptions{Options: opts, Churn: 100, Absence: 300 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				if r.Verdict.Lost != c.lost || r.Verdict.OK() != (c.lost == 0) || r.Verdict.Expected != 40*1201 || r.Connect.Reconnects == 0 {
					t.Errorf("%d published, %d reconnects: %+v", r.Published, r.Connect.Reconnects, r.Verdict)
				}
			})
		}
	}
}

func TestStorm_Pages_CatchUp(t *testing.T) {
	opts := protocol{}.options(newFakeServer(t, faults{}), 50)
	opts.Form, opts.For = FormJSON, 100*time.Millisecond
	r, err := Storm(t.Context(), StormOptions{Options: opts, Missed: 10})
	if err != nil || !r.Verdict.OK() || r.Verdict.Delivered != 50*50 || r.CaughtUp <= 0 || r.Connect.Reconnects != 50 {
		t.Errorf("%+v, caught up after %v, %d reconnects; %v", r.Verdict, r.CaughtUp, r.Connect.Reconnects, err)
	}
}

func TestLoad_UnknownForm_IsRejected(t *testing.T) {
	opts := newFakeServer(t, faults{}).options(1)
	opts.Form = "xml"
	if _, err := Load(t.Context(), opts); err == nil || !strings.Contains(err.Error(), `--form "xml": want one of sse envelope ndjson json`) {
		t.Error(err)
	}
}

func TestParseEnvelopeBlock_Contradictions_AreNotCounted(t *testing.T) {
	for block, counted := range map[string]bool{
		"event: x\ndata: {\"id\":\"1\",\"type\":\"x\",\"data\":1}\nid: 1\n": true,
		"data: {\"id\":\"1\",\"type\":\"message\",\"data\":1}\nid: 1\n":     true,
		"event: x\ndata: {\"id\":\"2\",\"type\":\"x\",\"data\":1}\nid: 1\n": false,
		"event: y\ndata: {\"id\":\"1\",\"type\":\"x\",\"data\":1}\nid: 1\n": false,
		"event: x\ndata: 1\nid: 1\n":                                        false,
	} {
		if f := parseEnvelopeBlock([]byte(block)); (string(f.data) == "1") != counted {
			t.Errorf("%q: %q", block, f.data)
		}
	}
}
