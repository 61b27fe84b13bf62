package server

import (
	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/problem"
)

// setSecurityHeaders sets the headers of all responses but those of feeds, which set their own. Echo's
// Secure has no Cross-Origin-Resource-Policy, and one list for pages, problems and other programs
// that use the handlers is kept more easily.
//
// Strict-Transport-Security is not set: it would bind all services of this host name.
func (s *Server) setSecurityHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !s.opts.isFeedPath(c.Path()) {
			problem.SecurityHeaders(c.Response().Header())
		}
		return next(c)
	}
}
