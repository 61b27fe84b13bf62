package server_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestAdmin_PageOfAnotherOrigin_IsRefused(t *testing.T) {
	r := newHarness(t, withAdmin)
	own := r.srv.AdminAddr().String()
	for name, c := range map[string]struct {
		header []string
		want   int
	}{
		"no browser":                   {nil, 200},
		"typed into a browser":         {[]string{"Sec-Fetch-Site", "none"}, 200},
		"a page of this origin":        {[]string{"Sec-Fetch-Site", "same-origin", "Origin", "http://" + own}, 200},
		"an image in another site":     {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		"a link in another site":       {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 403},
		"another port of this machine": {[]string{"Sec-Fetch-Site", "same-site"}, 403},
		"an old browser's image":       {[]string{"Referer", "https://evil.example/page"}, 403},
		"an old browser's fetch":       {[]string{"Origin", "https://evil.example"}, 403},
		"an old browser's sandbox":     {[]string{"Origin", "null"}, 403},
		"an old browser's own page":    {[]string{"Referer", "http://" + own + "/debug/pprof/"}, 200},
	} {
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap?gc=1", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/admin/status", "/admin/connections"} {
			resp, _ := r.request(http.MethodGet, r.admin(path), "", c.header...)
			if resp.StatusCode != c.want {
				t.Errorf("%s: GET %s: %d, want %d", name, path, resp.StatusCode, c.want)
			}
		}
		if c.want == http.StatusForbidden {
			for _, path := range []string{"/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=1"} {
				if resp, _ := r.request(http.MethodGet, r.admin(path), "", c.header...); resp.StatusCode != c.want {
					t.Errorf("%s: GET %s: %d", name, path, resp.StatusCode)
				}
			}
			if resp, _ := r.request(http.MethodPost, r.admin("/admin/drain"), "", c.header...); resp.StatusCode != c.want {
				t.Errorf("%s: POST /admin/drain: %d", name, resp.StatusCode)
			}
		}
	}
	if resp, _ := r.request(http.MethodGet, r.admin("/metrics"), "", "Sec-Fetch-Site", "cross-site"); resp.StatusCode != http.StatusOK {
		t.Errorf("GET /metrics, which a link can send: %d", resp.StatusCode)
	}
}

func TestPprof_Seconds_AreBounded(t *testing.T) {
	r := newHarness(t, withAdmin)
	for _, seconds := range []string{"61", "1e9", "-1", "0", "NaN", "Inf", "x", "", "1&seconds=3600"} {
		for _, profile := range []string{"profile", "trace", "heap", "goroutine", "block"} {
			resp, body := r.request(http.MethodGet, r.admin("/debug/pprof/"+profile+"?seconds="+seconds), "")
			if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "at most 60") {
				t.Errorf("%s for %s s: %d %s", profile, seconds, resp.StatusCode, body)
			}
		}
	}
	if resp, body := r.request(http.MethodGet, r.admin("/debug/pprof/trace?seconds=0.05"), ""); resp.StatusCode != http.StatusOK || len(body) == 0 {
		t.Errorf("a short trace: status %d, %d bytes", resp.StatusCode, len(body))
	}
}
