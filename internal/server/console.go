package server

import (
	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/pkg/web"
)

// consoleRoutes serve the page at /, and what it loads below /console/. Without them Echo
// answers 404.
func (s *Server) consoleRoutes(e *echo.Echo) {
	if !s.opts.Console {
		return
	}
	h := echo.WrapHandler(web.Console(s.consoleOptions()))
	e.Match(reading, "/", h)
	e.Match(reading, "/console/*", h)
}

// consoleOptions name the feeds with their first path each; the others are for clients of
// other servers.
func (s *Server) consoleOptions() web.ConsoleOptions {
	opts := web.ConsoleOptions{Publish: s.opts.Publish.Enabled, Users: s.takesUsers()}
	for _, f := range s.opts.Feeds {
		if len(f.Paths) > 0 {
			opts.Feeds = append(opts.Feeds, web.ConsoleFeed{Name: f.Name, Path: s.opts.HTTP.BasePath + f.Paths[0]})
		}
	}
	return opts
}

// takesUsers reports whether ?user= is trusted.
func (s *Server) takesUsers() bool {
	if len(s.opts.Auth.Identity) == 0 {
		return s.opts.Dev
	}
	for _, source := range s.opts.Auth.Identity {
		if source == "dev" {
			return true
		}
	}
	return false
}
