package web_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/pkg/web"
)

func TestConsole(t *testing.T) {
	h := web.Console(web.ConsoleOptions{Feeds: []web.ConsoleFeed{{Name: "a", Path: "/a"}}, Users: true})
	fetch := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	page := fetch("/").Body.String()
	for _, m := range regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(page, -1) {
		if w := fetch(m[1]); w.Code != http.StatusOK || w.Header().Get("Content-Type") == "" {
			t.Errorf("%s, which the page loads: %d %q", m[1], w.Code, w.Header().Get("Content-Type"))
		}
	}
	if found := regexp.MustCompile(`<style|<script>| style=| on\w+=|https?://`).FindString(page); found != "" {
		t.Errorf("the page holds %q, which its policy forbids", found)
	}
	if got := fetch("/console/settings.json").Body.String(); got != `{"feeds":[{"name":"a","path":"/a"}],"publish":false,"users":true}` {
		t.Errorf("settings: %s", got)
	}
	w := fetch("/console/../client.go")
	if w.Code != http.StatusNotFound {
		t.Errorf("a file that is none: %d", w.Code)
	}
	if policy := fetch("/").Header().Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none'; ") {
		t.Errorf("the policy is %q", policy)
	}
}
