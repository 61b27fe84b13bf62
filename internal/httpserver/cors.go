package httpserver

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// CORSHeaders contains the permitted request headers for pages of other origins. Monitoring and request
// libraries add sentry-trace, baggage and X-Requested-With to every request of a page.
var CORSHeaders = []string{"Last-Event-ID", "Content-Type", "Authorization", "Cache-Control", "Idempotency-Key", "Event-Type", "Nats-TTL", "traceparent", "tracestate", "sentry-trace", "baggage", "X-Requested-With"}

// CheckCORS returns an error for invalid origins. "*" must not be combined with credentials.
func CheckCORS(origins []string, credentials bool) error {
	for _, origin := range origins {
		if origin == "*" {
			if credentials {
				return errors.New(`"*" cannot be combined with credentials: any page could read with a user's cookies; name the origins`)
			}
			continue
		}
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || origin != u.Scheme+"://"+u.Host {
			return errors.New("\"" + origin + `" is not an origin; write scheme, host and port alone, such as https://app.example.com`)
		}
	}
	return nil
}

// CORS permits pages of the origins to read the responses of next to GET and HEAD. CheckCORS must accept
// origins and credentials. Without origins, CORS returns next.
func CORS(next http.Handler, origins []string, credentials bool) http.Handler {
	if len(origins) == 0 {
		return next
	}
	all := slices.Contains(origins, "*")
	allowed := strings.Join(CORSHeaders, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if origin == "" || !all && !slices.Contains(origins, origin) {
			next.ServeHTTP(w, r)
			return
		}
		if all {
			origin = "*"
		}
		h.Set("Access-Control-Allow-Origin", origin)
		if credentials {
			h.Set("Access-Control-Allow-Credentials", "true")
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, HEAD")
			h.Set("Access-Control-Allow-Headers", allowed)
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", "Retry-After")
		next.ServeHTTP(w, r)
	})
}
