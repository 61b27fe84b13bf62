package server

import (
	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/problem"
)

// setSecurityHeaders sets the headers of all responses except those of feeds, which set their own. Echo's Secure
// has no Cross-Origin-Resource-Policy. One list for pages, problems and embedding programs is also simpler to
// maintain.
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
