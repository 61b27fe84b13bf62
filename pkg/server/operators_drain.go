package server

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/pkg/feedhttp"
)

// drainState is what operators and the end of the process share.
type drainState struct {
	mu       sync.Mutex
	since    time.Time // zero while clients are let in
	stopping bool      // the process ends, which nobody takes back
}

// Drain is the answer of GET /admin/drain.
type Drain struct {
	Draining bool       `json:"draining"`
	Stopping bool       `json:"stopping"` // the process ends, once the streams have
	Since    *time.Time `json:"since,omitempty"`
	PeriodMS int64      `json:"period_ms"` // over which the streams are sent away, at most
	Streams  int        `json:"streams"`   // still open
}

func (s *Server) drainNow() Drain {
	s.drain.mu.Lock()
	defer s.drain.mu.Unlock()
	streams, _ := s.admit.Counts()
	d := Drain{Draining: !s.drain.since.IsZero(), Stopping: s.drain.stopping, PeriodMS: s.opts.SSE.DrainPeriod.Milliseconds(), Streams: streams}
	if d.Draining {
		since := s.drain.since
		d.Since = &since
	}
	return d
}

func (s *Server) tellDrain(c echo.Context) error { return c.JSON(http.StatusOK, s.drainNow()) }

// startDrain makes the node not ready and sends its clients away, and answers at once. The
// process goes on, so that an operator sees the node empty before it is stopped.
func (s *Server) startDrain(c echo.Context) error {
	s.drain.mu.Lock()
	if s.drain.since.IsZero() {
		s.drain.since = time.Now()
		s.draining.Store(true)
		for _, h := range s.streams {
			h.StartDrain(s.opts.SSE.DrainPeriod)
		}
		s.opts.Logger.Warn("an operator drains this node", "remote", c.Request().RemoteAddr)
	}
	s.drain.mu.Unlock()
	return c.JSON(http.StatusAccepted, s.drainNow())
}

// endDrain takes it back, for who drained the wrong node.
func (s *Server) endDrain(c echo.Context) error {
	s.drain.mu.Lock()
	stopping := s.drain.stopping
	if !stopping && !s.drain.since.IsZero() {
		s.drain.since = time.Time{}
		for _, h := range s.streams {
			h.EndDrain()
		}
		s.draining.Store(false)
		s.opts.Logger.Warn("an operator ended the drain of this node", "remote", c.Request().RemoteAddr)
	}
	s.drain.mu.Unlock()
	if stopping {
		feedhttp.WriteProblem(c.Response(), feedhttp.Problem{Status: http.StatusConflict, Detail: "the process is stopping, which cannot be taken back; start it again"})
		return nil
	}
	return c.JSON(http.StatusOK, s.drainNow())
}

// stopDraining begins the drain at the end of the process.
func (s *Server) stopDraining() {
	s.drain.mu.Lock()
	defer s.drain.mu.Unlock()
	s.drain.stopping = true
	if s.drain.since.IsZero() {
		s.drain.since = time.Now()
	}
	s.draining.Store(true)
}

// decodeSmall reads a body of at most 1 KiB.
func decodeSmall(c echo.Context, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(c.Response(), c.Request().Body, 1<<10))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}
