package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tidemark/tidemark/internal/problem"
)

// underBase serves next below a base path. The paths that next receives do not have the base.
func underBase(base string, next http.Handler) http.Handler {
	if base == "" {
		return next
	}
	strip := http.StripPrefix(base, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, base+"/"):
			strip.ServeHTTP(w, r)
		case r.URL.Path == base:
			to := base + "/" // a path of the configuration, so that no request chooses the target
			if r.URL.RawQuery != "" {
				to += "?" + r.URL.RawQuery
			}
			http.Redirect(w, r, to, http.StatusPermanentRedirect) //nolint:gosec // G710: the path is the configured one
		default:
			problem.Write(w, problem.Document{Status: http.StatusNotFound,
				Detail: fmt.Sprintf("nothing is served at %s; everything is below %s/ (http.base_path)", r.URL.Path, base)})
		}
	})
}
