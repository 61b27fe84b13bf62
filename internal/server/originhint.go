package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
)

// originHintEvery bounds the lines about pages of other origins.
const originHintEvery = time.Minute

// originHint logs pages of other origins that http.cors.origins does not name. A browser hides the answer
// from such a page, and reports neither to it nor to the node what is missing.
type originHint struct {
	last    atomic.Int64 // time of the last line, in nanoseconds; zero for none
	omitted atomic.Int64
}

// logForeignOrigins is the middleware. It changes no answer.
func (s *Server) logForeignOrigins(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if r := c.Request(); s.isForeign(r) && (s.isStream(c.Path()) || isPublishPath(c.Path())) {
			s.hintAtOrigin(r)
		}
		return next(c)
	}
}

// isForeign reports whether a request comes from a page of an origin that is neither allowed nor that
// of this node. A proxy may change Host; browsers report the truth in Sec-Fetch-Site.
func (s *Server) isForeign(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || r.Header.Get("Sec-Fetch-Site") == "same-origin" {
		return false
	}
	allowed := s.opts.HTTP.CORSOrigins
	if slices.Contains(allowed, origin) || slices.Contains(allowed, "*") && r.Method != http.MethodPost {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, r.Host)
}

func (s *Server) hintAtOrigin(r *http.Request) {
	now, last := time.Now().UnixNano(), s.origins.last.Load()
	if last != 0 && now-last < int64(originHintEvery) || !s.origins.last.CompareAndSwap(last, now) {
		s.origins.omitted.Add(1)
		return
	}
	origin := r.Header.Get("Origin")
	s.opts.Logger.Warn("a page of another origin may not read the answer; its browser hides it",
		"component", "security", "origin", origin[:min(len(origin), 200)], "path", r.URL.Path, "remote", r.RemoteAddr,
		"omitted", s.origins.omitted.Swap(0), "remedy", "to allow it, add the origin to http.cors.origins")
}
