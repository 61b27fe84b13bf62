package server

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/tidemark/tidemark/internal/problem"
)

// fromAnotherOrigin reports whether a page of another origin makes a browser send the request. The
// browser does not let the page read the answer, but <img src="…/debug/pprof/profile"> would make
// the node work. http.CrossOriginProtection has the same rules and passes every GET.
//
// Browsers send Sec-Fetch-Site to loopback and over TLS; where it is missing Origin decides, and
// then Referer. A request without all three is not from a page.
func fromAnotherOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "":
	case "same-origin", "none":
		return false
	default:
		return true
	}
	for _, name := range []string{"Origin", "Referer"} {
		if from := r.Header.Get(name); from != "" {
			page, err := url.Parse(from)
			return err != nil || page.Host != r.Host
		}
	}
	return false
}

// sameOrigin refuses requests that pages of another origin make.
func sameOrigin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if fromAnotherOrigin(c.Request()) {
			problem.Write(c.Response(), problem.Document{Code: problem.CrossOrigin, Detail: "pages of another origin may not operate this node"})
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
