package server_test

import (
	"net/http"
	"testing"

	"github.com/tidemark/tidemark/internal/server"
)

// TestClientLibrary_Requested_IsServed checks that pages of every origin may load the library, whatever the CORS
// options of the feeds, and nothing else.
func TestClientLibrary_Requested_IsServed(t *testing.T) {
	for name, change := range map[string]func(*server.Options){
		"no CORS": nil,
		"CORS with credentials": func(o *server.Options) {
			o.HTTP.CORSOrigins, o.HTTP.CORSCredentials = []string{"https://app.example.com"}, true
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newHarness(t, change)
			for path, mediaType := range map[string]string{"/client.js": "text/javascript; charset=utf-8", "/client.d.ts": "text/plain; charset=utf-8"} {
				for _, origin := range []string{"https://app.example.com", "https://other.example.com"} {
					h := r.headers(path, origin)
					if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" ||
						h.Get("Cross-Origin-Resource-Policy") != "cross-origin" || h.Get("Content-Type") != mediaType || h.Get("X-Content-Type-Options") != "nosniff" {
						t.Errorf("%s for %s: %v", path, origin, h)
					}
				}
			}
			if h := r.headers("/healthz", "https://other.example.com"); h.Get("Access-Control-Allow-Origin") != "" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" {
				t.Errorf("/healthz: %v", h)
			}
		})
	}
}

func (r *harness) headers(path, origin string) http.Header {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodGet, r.base+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Origin", origin)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		r.t.Errorf("%s: %s", path, resp.Status)
	}
	return resp.Header
}
