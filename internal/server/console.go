package server

import (
	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/pkg/web"
)

// consoleRoutes serves the page at /, and its files below /console/. Without them Echo answers 404.
func (s *Server) consoleRoutes(e *echo.Echo) {
	if !s.opts.Console {
		return
	}
	h := echo.WrapHandler(web.Console(s.opts.consoleOptions()))
	e.Match(reading, "/", h)
	e.Match(reading, "/console/*", h)
}

// consoleOptions returns the feeds, each with its first path. The further paths are for clients of other servers.
func (o *Options) consoleOptions() web.ConsoleOptions {
	opts := web.ConsoleOptions{Publish: o.Publish.Enabled, Users: o.takesUsers()}
	for _, f := range o.Feeds {
		if len(f.Paths) > 0 {
			opts.Feeds = append(opts.Feeds, web.ConsoleFeed{Name: f.Name, Path: o.HTTP.BasePath + f.Paths[0]})
		}
	}
	return opts
}

// takesUsers reports whether ?user= is trusted.
func (o *Options) takesUsers() bool {
	if len(o.Auth.Identity) == 0 {
		return o.Dev
	}
	for _, source := range o.Auth.Identity {
		if source == "dev" {
			return true
		}
	}
	return false
}
