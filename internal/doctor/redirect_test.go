package doctor_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/tidemark/tidemark/internal/doctor"
)

// TestURL_RedirectToOtherHost_SendsNothingThere: headers of any name, and the query, may be a login.
func TestURL_RedirectToOtherHost_SendsNothingThere(t *testing.T) {
	var mu sync.Mutex
	var received []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		received = append(received, r.URL.String())
	}))
	t.Cleanup(other.Close)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/login?back=secret", status)
		}))
		t.Cleanup(first.Close)
		opts := doctor.Options{URL: first.URL + "/events?token=secret", Header: http.Header{"X-Api-Key": {"secret"}}}
		report := doctor.Run(t.Context(), opts)
		want(t, report, doctor.Problem, "public url", "redirects to "+other.URL+"/login", "not followed")
		if strings.Contains(lines(report, ""), "secret") {
			t.Errorf("%d: a secret is printed:\n%s", status, lines(report, ""))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(received) > 0 {
		t.Errorf("the other host received %q", received)
	}
}

// TestURL_RedirectWithinHost_SendsNoReferer: the URL's query may hold a token.
func TestURL_RedirectWithinHost_SendsNoReferer(t *testing.T) {
	var mu sync.Mutex
	var referer, key []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			http.Redirect(w, r, "/moved", http.StatusFound)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		referer, key = append(referer, r.Header.Values("Referer")...), append(key, r.Header.Get("X-Api-Key"))
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte("<html><title>Sign in</title>" + strings.Repeat("<p>more</p>", 10_000)))
	}))
	t.Cleanup(srv.Close)
	report := doctor.Run(t.Context(), doctor.Options{URL: srv.URL + "/events?token=secret", Header: http.Header{"X-Api-Key": {"secret"}}})
	want(t, report, doctor.Warning, "public url", "401", ": Sign in |", "--header 'Cookie: ...'")
	if strings.Contains(lines(report, ""), "more") {
		t.Errorf("the page is quoted:\n%s", lines(report, ""))
	}
	mu.Lock()
	defer mu.Unlock()
	if len(referer) > 0 || len(key) == 0 || key[0] != "secret" {
		t.Errorf("the referers are %q and the keys %q, want none and the header", referer, key)
	}
}
