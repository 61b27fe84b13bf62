package server

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/httpguard"
)

// sameOrigin refuses requests that pages of another origin make.
func sameOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if httpguard.IsCrossOrigin(c.Request()) {
			feedhttp.WriteProblem(c.Response(), feedhttp.Problem{Status: http.StatusForbidden, Detail: "pages of another origin may not operate this node"})
			return nil
		}
		return next(c)
	}
}

// maxProfile bounds ?seconds= of a profile or a trace, which slow the node down meanwhile, and of
// which there is one at a time.
const maxProfile = time.Minute

// boundedProfile refuses longer ones, and what cannot be read: net/http/pprof takes that for its
// default of 30 s.
func boundedProfile(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		for _, text := range c.QueryParams()["seconds"] {
			seconds, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(seconds) || seconds <= 0 || seconds > maxProfile.Seconds() {
				return refuse(c, badQuery("?seconds= must be a number above 0, and at most %.0f", maxProfile.Seconds()))
			}
		}
		return next(c)
	}
}
