package server

import (
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/seclog"
	"github.com/tidemark/tidemark/pkg/auth"
)

// openSecurityLog starts the log of refused requests and of what operators do.
func (s *Server) openSecurityLog() {
	s.security = seclog.New(s.opts.Logger.With("component", "security"))
	s.onClose(s.security.Close)
}

// refusedRequests is the hook of handlers that serve one action.
func (s *Server) refusedRequests(action seclog.Action) func(feedhttp.RefusedRequest) {
	return func(r feedhttp.RefusedRequest) {
		of := action
		if r.Limit && action == seclog.Login {
			of = seclog.Connect
		}
		s.security.Refused(seclog.Event{
			Action: of, Reason: r.Err.Error(), Remote: r.Remote, Path: r.Request.URL.Path,
			User: r.Identity.User(), Key: r.Identity.TokenID,
		})
	}
}

// ignoredHeaders logs a request whose identity headers do not come from a gateway. The request
// itself is served as if it had none.
func (s *Server) ignoredHeaders(r *http.Request) {
	s.security.Ignored(seclog.Event{
		Action: seclog.Header, Reason: "the sender is not in auth.header.trusted", Remote: r.RemoteAddr, Path: r.URL.Path,
	})
}

// refuseAction answers an error, and logs it where it is about what the caller may do.
func (s *Server) refuseAction(c echo.Context, action seclog.Action, id auth.Identity, err error) {
	s.security.Refused(seclog.Event{
		Action: action, Reason: err.Error(), Remote: c.Request().RemoteAddr, Path: c.Request().URL.Path,
		User: id.User(), Key: id.TokenID,
	})
	feedhttp.Refuse(c.Response(), err)
}

// operatorKey is the echo context's key of the identity that operates.
const operatorKey = "operator"

// acceptedAction logs what an operator did, with the name of the key.
func (s *Server) acceptedAction(c echo.Context, what string, attrs ...slog.Attr) {
	id, _ := c.Get(operatorKey).(auth.Identity)
	s.security.Accepted(what, id.TokenID, c.Request().RemoteAddr, attrs...)
}

// refuseHost answers a request for a host name that is not served.
func (s *Server) refuseHost(w http.ResponseWriter, r *http.Request, p feedhttp.Problem) {
	s.admit.Refuse(feedhttp.RefusedHost)
	s.security.Refused(seclog.Event{Action: seclog.Host, Reason: p.Detail, Remote: r.RemoteAddr, Path: r.URL.Path})
	feedhttp.WriteProblem(w, p)
}
