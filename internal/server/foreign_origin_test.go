package server_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/internal/testkit"
)

func TestOrigin_NotAllowed_LoggedOnceAMinuteWithTheKey(t *testing.T) {
	for name, c := range map[string]struct {
		origins []string
		method  string
		path    string
		header  []string
		logged  bool
	}{
		"a page elsewhere":        {nil, "GET", "/events?only=1", []string{"Origin", "https://app.example.com"}, true},
		"no origin of a file":     {nil, "GET", "/events?only=1", []string{"Origin", "null"}, true},
		"a preflight":             {[]string{"https://app.example.com"}, "OPTIONS", "/events", []string{"Origin", "https://other.example.com", "Access-Control-Request-Method", "GET"}, true},
		"a publish":               {[]string{"*"}, "POST", "/publish", []string{"Origin", "https://app.example.com", "Sec-Fetch-Site", "cross-site"}, true},
		"an allowed page":         {[]string{"https://app.example.com"}, "GET", "/events?only=1", []string{"Origin", "https://app.example.com"}, false},
		"every page":              {[]string{"*"}, "GET", "/events?only=1", []string{"Origin", "https://app.example.com"}, false},
		"no origin":               {nil, "GET", "/events?only=1", nil, false},
		"its own page":            {nil, "POST", "/publish", []string{"Origin", "http://BASE"}, false},
		"behind a proxy":          {nil, "POST", "/publish", []string{"Origin", "https://site.example.com", "Sec-Fetch-Site", "same-origin"}, false},
		"the library of any page": {nil, "GET", "/client.js", []string{"Origin", "https://app.example.com"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			log := &testkit.Log{}
			r := newHarness(t, func(o *server.Options) {
				o.HTTP.CORSOrigins = c.origins
				o.Logger = slog.New(slog.NewJSONHandler(log, nil))
			})
			header := append([]string(nil), c.header...)
			for i := range header {
				header[i] = strings.ReplaceAll(header[i], "BASE", strings.TrimPrefix(r.base, "http://"))
			}
			for range 3 {
				r.request(c.method, r.base+c.path, "{}", header...)
			}
			lines := 0
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "http.cors.origins") && strings.Contains(line, `"origin":"`) {
					lines++
				}
			}
			if want := map[bool]int{true: 1}[c.logged]; lines != want {
				t.Errorf("%d lines, want %d:\n%s", lines, want, log.String())
			}
		})
	}
}
