package httpguard

import (
	"fmt"
	"net"
	"net/http"

	"github.com/tidemark/tidemark/internal/hostname"
	"github.com/tidemark/tidemark/internal/problem"
)

// Hosts answers 421 to requests for other host names than those of a listener at addr; see
// [hostname.New]. It calls refused with the reason before it answers.
func Hosts(addr net.Addr, names []string, refused func(r *http.Request, reason string), next http.Handler) http.Handler {
	allowed := hostname.New(addr, names)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if allowed.Allows(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		reason := fmt.Sprintf("this listener does not serve the host name %q; name it in http.hosts, or have the proxy send a name that is there", r.Host)
		refused(r, reason)
		problem.Write(w, problem.Document{Status: http.StatusMisdirectedRequest, Detail: reason})
	})
}
