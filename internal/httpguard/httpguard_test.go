package httpguard_test

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/httpguard"
	"github.com/tidemark/tidemark/internal/testkit"
)

func request(method string, header ...string) *http.Request {
	r := httptest.NewRequest(method, "http://node.example/publish", nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestHosts_NameNotServed_Answers421AndReports(t *testing.T) {
	served := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	var reasons []string
	h := httpguard.Hosts(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80}, []string{"node.example"},
		func(_ *http.Request, reason string) { reasons = append(reasons, reason) }, served)
	for host, want := range map[string]int{"node.example": http.StatusNoContent, "rebound.example": http.StatusMisdirectedRequest} {
		r := request(http.MethodGet)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d, want %d", host, w.Code, want)
		}
	}
	if len(reasons) != 1 || !strings.Contains(reasons[0], "rebound.example") {
		t.Errorf("reported %q", reasons)
	}
}

func TestIsCrossOrigin_Headers_DecideInTheirOrder(t *testing.T) {
	for name, c := range map[string]struct {
		header []string
		want   bool
	}{
		"not a page":                   {nil, false},
		"typed":                        {[]string{"Sec-Fetch-Site", "none"}, false},
		"own page":                     {[]string{"Sec-Fetch-Site", "same-origin"}, false},
		"sibling":                      {[]string{"Sec-Fetch-Site", "same-site"}, true},
		"other site":                   {[]string{"Sec-Fetch-Site", "cross-site", "Origin", "http://node.example"}, true},
		"own origin":                   {[]string{"Origin", "http://node.example"}, false},
		"other origin, own referer":    {[]string{"Origin", "http://other.example", "Referer", "http://node.example/"}, true},
		"image of another page":        {[]string{"Referer", "http://other.example/x"}, true},
		"sandboxed page":               {[]string{"Origin", "null"}, true},
		"browser behind a named proxy": {[]string{"Sec-Fetch-Site", "same-origin", "Origin", "https://site.example"}, false},
	} {
		if got := httpguard.IsCrossOrigin(request(http.MethodGet, c.header...)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestOrigins_ProtectPublish_AcceptsNamedOriginsAlone(t *testing.T) {
	var log testkit.Log
	origins, err := httpguard.NewOrigins([]string{"*", "https://app.example"}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	h := origins.ProtectPublish(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for origin, want := range map[string]int{"": 204, "https://app.example": 204, "https://other.example": 403} {
		r := request(http.MethodPost)
		if origin != "" {
			r = request(http.MethodPost, "Origin", origin, "Sec-Fetch-Site", "cross-site")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", origin, w.Code, want)
		}
	}
	for range 3 {
		origins.LogForeign(request(http.MethodPost, "Origin", "https://other.example"))
		origins.LogForeign(request(http.MethodGet, "Origin", "https://other.example")) // * lets it read
	}
	if n := strings.Count(log.String(), "cors: origin not allowed"); n != 1 {
		t.Errorf("%d lines, want 1 in a minute:\n%s", n, log.String())
	}
	if _, err := httpguard.NewOrigins([]string{"not an origin"}, nil); err == nil {
		t.Error("a wrong origin is accepted")
	}
}
