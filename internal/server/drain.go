package server

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/feedhttp"
)

// drainPhase is how far a node is on its way out:
//
//	serving ──▶ announced ──▶ closing ──▶ the process ends
//	   ▲            │            │
//	   └────────────┴────────────┘ POST /admin/undrain, unless the process is stopping
//
// SIGTERM and POST /admin/drain both lead from serving to announced.
type drainPhase uint8

const (
	serving drainPhase = iota
	// announced: /readyz answers 503 and new connections receive tidemark.close, while open
	// connections and publishers are served. It lasts HTTPOptions.DrainDelay, so that a load
	// balancer sees the 503 before the node refuses anything.
	announced
	// closing: the open connections are closed one by one over SSEOptions.DrainPeriod.
	closing
)

// drainState is shared by operators and the end of the process.
type drainState struct {
	mu       sync.Mutex
	phase    drainPhase
	since    time.Time   // when the phase announced began
	delay    *time.Timer // ends the phase announced; nil while the phase is serving
	stopping bool        // the process ends, which cannot be taken back
}

// Drain is the answer of /admin/drain.
type Drain struct {
	Draining bool       `json:"draining"` // /readyz answers 503, new connections are closed at once
	Closing  bool       `json:"closing"`  // the delay has passed: open connections are closed, too
	Stopping bool       `json:"stopping"` // the process ends once the connections have
	Since    *time.Time `json:"since,omitempty"`
	DelayMS  int64      `json:"delay_ms"`  // from draining to closing
	PeriodMS int64      `json:"period_ms"` // over which the connections are closed, at most
	Streams  int        `json:"connections"`   // connections that are still open
}

func (s *Server) drainStatus() Drain {
	s.drain.mu.Lock()
	defer s.drain.mu.Unlock()
	streams, _ := s.admit.Counts()
	d := Drain{
		Draining: s.drain.phase != serving, Closing: s.drain.phase == closing, Stopping: s.drain.stopping,
		DelayMS: s.opts.HTTP.DrainDelay.Milliseconds(), PeriodMS: s.opts.SSE.DrainPeriod.Milliseconds(), Streams: streams,
	}
	if d.Draining {
		since := s.drain.since
		d.Since = &since
	}
	return d
}

// announceLocked takes the node out of service, and closes its connections after the delay.
// It reports false where a drain is under way already, which goes on as it began.
func (s *Server) announceLocked() bool {
	if s.drain.phase != serving {
		return false
	}
	s.drain.phase, s.drain.since = announced, time.Now()
	s.draining.Store(true)
	for _, h := range s.streams {
		h.AnnounceDrain()
	}
	if s.opts.HTTP.DrainDelay <= 0 {
		s.closeConnectionsLocked()
		return true
	}
	s.drain.delay = time.AfterFunc(s.opts.HTTP.DrainDelay, func() {
		s.drain.mu.Lock()
		defer s.drain.mu.Unlock()
		if s.drain.phase == announced {
			s.closeConnectionsLocked()
		}
	})
	return true
}

func (s *Server) closeConnectionsLocked() {
	s.drain.phase = closing
	for _, h := range s.streams {
		h.StartDrain(s.opts.SSE.DrainPeriod)
	}
}

// stopServing drains the node at the end of the process. It blocks for what is left of the
// delay and then until the connections have ended, at most period and timeout beyond it. A
// drain that an operator began is continued, without a second delay. atOnce skips the delay.
func (s *Server) stopServing(atOnce bool, period, timeout time.Duration) {
	s.drain.mu.Lock()
	s.drain.stopping = true
	s.announceLocked()
	left := max(s.opts.HTTP.DrainDelay-time.Since(s.drain.since), 0)
	if atOnce {
		left = 0
	}
	s.drain.mu.Unlock()
	streams, _ := s.admit.Counts()
	s.opts.Logger.Info("draining", "connections", streams, "delay", left.Round(time.Millisecond).String(), "period", period.String(), "timeout", timeout.String())
	time.Sleep(left)
	s.drain.mu.Lock()
	if s.drain.delay != nil {
		s.drain.delay.Stop()
	}
	if s.drain.phase == announced {
		s.closeConnectionsLocked()
	}
	s.drain.mu.Unlock()
	s.awaitConnections(period, timeout)
}

// awaitConnections blocks until all connections have ended, or timeout beyond period has passed.
func (s *Server) awaitConnections(period, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), period+timeout)
	defer cancel()
	var drains sync.WaitGroup
	for _, h := range s.streams {
		drains.Go(func() {
			if err := h.Drain(ctx, period); err != nil {
				s.opts.Logger.Warn("some streams did not end in time", "error", err)
			}
		})
	}
	drains.Wait()
}

func (s *Server) getDrain(c echo.Context) error { return c.JSON(http.StatusOK, s.drainStatus()) }

// postDrain drains the node and answers at once. The process stays, so that an operator sees the
// node empty before it is stopped; a preStop hook waits for that with `tidemark drain`.
func (s *Server) postDrain(c echo.Context) error {
	s.drain.mu.Lock()
	if s.announceLocked() {
		s.acceptedAction(c, "drain")
	}
	s.drain.mu.Unlock()
	return c.JSON(http.StatusAccepted, s.drainStatus())
}

// postUndrain takes a drain back, for example of the wrong node.
func (s *Server) postUndrain(c echo.Context) error {
	s.drain.mu.Lock()
	stopping := s.drain.stopping
	if !stopping && s.drain.phase != serving {
		if s.drain.delay != nil {
			s.drain.delay.Stop()
		}
		s.drain.phase, s.drain.delay = serving, nil
		for _, h := range s.streams {
			h.EndDrain()
		}
		s.draining.Store(false)
		s.acceptedAction(c, "undrain")
	}
	s.drain.mu.Unlock()
	if stopping {
		feedhttp.WriteProblem(c.Response(), feedhttp.Problem{Status: http.StatusConflict, Detail: "the process is stopping, which cannot be taken back; start it again"})
		return nil
	}
	return c.JSON(http.StatusOK, s.drainStatus())
}

// decodeSmall reads a body of at most 1 KiB.
func decodeSmall(c echo.Context, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(c.Response(), c.Request().Body, 1<<10))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}
