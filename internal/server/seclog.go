package server

import (
	"net/http"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/seclog"
)

// refusedRequests returns the hook for refused requests of one action.
func (s *Server) refusedRequests(action seclog.Action) func(feedhttp.RefusedRequest) {
	return func(r feedhttp.RefusedRequest) {
		of := action
		if r.Limit && action == seclog.Login {
			of = seclog.Connect
		}
		s.telemetry.security.Refused(seclog.Event{
			Action: of, Reason: r.Err.Error(), Remote: r.Remote, Path: r.Request.URL.Path,
			User: r.Identity.User(), Key: r.Identity.TokenID,
		})
	}
}

// ignoredHeaders logs a request whose identity headers do not come from a trusted gateway. The request is served
// without them.
func (s *Server) ignoredHeaders(r *http.Request) {
	s.telemetry.security.Ignored(seclog.Event{
		Action: seclog.Header, Reason: "the sender is not in auth.header.trusted", Remote: r.RemoteAddr, Path: r.URL.Path,
	})
}

// refusedHost counts and logs a request for a host name that is not allowed.
func (s *Server) refusedHost(r *http.Request, reason string) {
	s.clients.admission.Refuse(feedhttp.RefusedHost)
	s.telemetry.security.Refused(seclog.Event{Action: seclog.Host, Reason: reason, Remote: r.RemoteAddr, Path: r.URL.Path})
}
