package httpserver_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/httpserver"
)

func TestCORS_Requests_AnswersByOrigin(t *testing.T) {
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	some := httpserver.CORS(next, []string{"https://a.example", "https://b.example:8443"}, true)
	all := httpserver.CORS(next, []string{"*"}, false)
	for name, c := range map[string]struct {
		handler        http.Handler
		method, origin string
		preflight      bool
		status         int
		allow, cookies string
	}{
		"allowed":                {some, "GET", "https://a.example", false, http.StatusTeapot, "https://a.example", "true"},
		"allowed, with a port":   {some, "GET", "https://b.example:8443", false, http.StatusTeapot, "https://b.example:8443", "true"},
		"another port":           {some, "GET", "https://b.example", false, http.StatusTeapot, "", ""},
		"not allowed":            {some, "GET", "https://c.example", false, http.StatusTeapot, "", ""},
		"no origin":              {some, "GET", "", false, http.StatusTeapot, "", ""},
		"preflight":              {some, "OPTIONS", "https://a.example", true, http.StatusNoContent, "https://a.example", "true"},
		"preflight, not allowed": {some, "OPTIONS", "https://c.example", true, http.StatusTeapot, "", ""},
		"OPTIONS of a program":   {some, "OPTIONS", "https://a.example", false, http.StatusTeapot, "https://a.example", "true"},
		"all":                    {all, "GET", "https://c.example", false, http.StatusTeapot, "*", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "/", nil)
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
			if c.preflight {
				r.Header.Set("Access-Control-Request-Method", "GET")
			}
			rec := httptest.NewRecorder()
			c.handler.ServeHTTP(rec, r)
			h := rec.Header()
			if rec.Code != c.status || h.Get("Access-Control-Allow-Origin") != c.allow || h.Get("Access-Control-Allow-Credentials") != c.cookies {
				t.Errorf("%d %v", rec.Code, h)
			}
			if h.Get("Vary") != "Origin" {
				t.Error("a cache may give the answer to another origin")
			}
			if c.status == http.StatusNoContent && !strings.Contains(h.Get("Access-Control-Allow-Headers"), "Last-Event-ID") {
				t.Errorf("the headers are %s", h.Get("Access-Control-Allow-Headers"))
			}
		})
	}
}

func TestCheckCORS_Origins_RefusesWhatBrowsersDoNotSend(t *testing.T) {
	for _, origin := range []string{"https://a.example/", "a.example", "https://", "https://u@a.example", "null", ""} {
		if httpserver.CheckCORS([]string{origin}, false) == nil {
			t.Errorf("%q is accepted", origin)
		}
	}
	if httpserver.CheckCORS([]string{"*"}, true) == nil {
		t.Error("all origins are accepted with credentials")
	}
	if err := httpserver.CheckCORS([]string{"https://a.example:8443", "http://localhost:3000", "capacitor://localhost"}, true); err != nil {
		t.Error(err)
	}
}
