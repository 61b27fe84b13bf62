package admin

import (
	"math"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
)

// pprofRoutes serve the profiles of net/http/pprof. The routes of that package are in the global mux, which is
// not served here.
func pprofRoutes(g *echo.Group) {
	g.GET("/cmdline", echo.WrapHandler(http.HandlerFunc(pprof.Cmdline)))
	g.GET("/profile", echo.WrapHandler(http.HandlerFunc(pprof.Profile)))
	g.Any("/symbol", echo.WrapHandler(http.HandlerFunc(pprof.Symbol)))
	g.GET("/trace", echo.WrapHandler(http.HandlerFunc(pprof.Trace)))
	g.GET("/*", echo.WrapHandler(http.HandlerFunc(pprof.Index)))
}

// maxProfile bounds ?seconds= of a profile or a trace. Each slows the node down while it is taken, and there is
// one at a time.
const maxProfile = time.Minute

// boundedProfile refuses longer ones, and invalid numbers: net/http/pprof replaces those by its
// default of 30 s.
func boundedProfile(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		for _, text := range c.QueryParams()["seconds"] {
			seconds, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(seconds) || seconds <= 0 || seconds > maxProfile.Seconds() {
				return refuse(c, badRequest("?seconds= must be a number above 0, and at most %.0f", maxProfile.Seconds()))
			}
		}
		return next(c)
	}
}
