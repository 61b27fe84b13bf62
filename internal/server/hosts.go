package server

import (
	"fmt"
	"net"
	"net/http"

	"github.com/tidemark/tidemark/internal/hostname"
	"github.com/tidemark/tidemark/internal/problem"
)

// guardHosts answers 421 to requests for host names that a listener does not serve.
func (s *Server) guardHosts(l net.Listener, next http.Handler) http.Handler {
	allowed := hostname.New(l.Addr(), s.opts.HTTP.Hosts)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if allowed.Allows(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		s.refuseHost(w, r, problem.Document{Status: http.StatusMisdirectedRequest,
			Detail: fmt.Sprintf("this listener does not serve the host name %q; name it in http.hosts, or have the proxy send a name that is there", r.Host)})
	})
}
