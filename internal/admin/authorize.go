package admin

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/httpguard"
	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/internal/seclog"
	"github.com/tidemark/tidemark/pkg/auth"
)

const crossOriginDetail = "pages of another origin may not operate this node"

// operatorKey is the echo context's key of the operator's identity.
const operatorKey = "operator"

// operatorsOnly accepts programs of this machine, as localhost and without a proxy, and API keys with
// the right. A page in a browser of this machine is refused by its Origin, and by Host where its name was
// rebound.
func (a *API) operatorsOnly(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "private, no-store")
		id, err := a.authorizeAdmin(c.Request())
		if err == nil && httpguard.IsCrossOrigin(c.Request()) {
			err = &auth.Error{Status: http.StatusForbidden, Err: problem.CrossOrigin, Detail: crossOriginDetail}
		}
		if err != nil {
			return a.refuseAction(c, seclog.Operate, id, err)
		}
		c.Set(operatorKey, id)
		return next(c)
	}
}

// authorizeAdmin returns the identity of an operator: zero for a program of this machine, or that of an API key.
func (a *API) authorizeAdmin(r *http.Request) (auth.Identity, error) {
	if auth.FromLoopback(r) {
		return auth.Identity{}, nil
	}
	denied := &auth.Error{Status: http.StatusForbidden, Detail: "/admin is for this machine itself, as localhost, and for API keys with " + auth.AdminRight + " (publish.keys)"}
	if a.opts.Operators == nil {
		return auth.Identity{}, denied
	}
	id, err := a.opts.Operators(r)
	if err == nil && !id.Admin {
		err = denied
	}
	return id, err
}

// authorizePresence requires the right, not just any identity: users must not see where others are.
func (a *API) authorizePresence(r *http.Request) (auth.Identity, error) {
	id, err := a.opts.PresenceReaders(r)
	if err == nil && !id.Presence {
		err = &auth.Error{Status: http.StatusForbidden, Detail: "this identity may not list connections; use an API key with " + auth.PresenceRight + ", or a token with the claim of auth.jwt.presence_claim"}
	}
	return id, err
}

// LoopbackOnly accepts requests of programs of this machine alone. It refuses those through a proxy, and those for a
// host name that was rebound to this machine.
func LoopbackOnly(detail string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if auth.FromLoopback(c.Request()) {
				return next(c)
			}
			return refuse(c, &auth.Error{Status: http.StatusForbidden, Detail: detail})
		}
	}
}

// sameOrigin refuses requests of pages of another origin.
func sameOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if httpguard.IsCrossOrigin(c.Request()) {
			return refuse(c, &auth.Error{Status: http.StatusForbidden, Err: problem.CrossOrigin, Detail: crossOriginDetail})
		}
		return next(c)
	}
}

// refuseAction answers an error, and writes it to the security log.
func (a *API) refuseAction(c echo.Context, action seclog.Action, id auth.Identity, err error) error {
	a.opts.Security.Refused(seclog.Event{
		Action: action, Reason: err.Error(), Remote: c.Request().RemoteAddr, Path: c.Request().URL.Path,
		User: id.User(), Key: id.TokenID,
	})
	return refuse(c, err)
}

// logAction writes the action of an operator to the security log, with the name of the key.
func (a *API) logAction(c echo.Context, what string, attrs ...slog.Attr) {
	id, _ := c.Get(operatorKey).(auth.Identity)
	a.opts.Security.Accepted(what, id.TokenID, c.Request().RemoteAddr, attrs...)
}

// refuse answers an error. It returns nil, as handlers do that have answered.
func refuse(c echo.Context, err error) error {
	problem.WriteError(c.Response(), err)
	return nil
}

func badRequest(format string, args ...any) error {
	return &auth.Error{Status: http.StatusBadRequest, Detail: fmt.Sprintf(format, args...)}
}
