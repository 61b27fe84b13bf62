package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/presence"
)

// readyTimeout bounds the questions that /readyz asks.
const readyTimeout = 2 * time.Second

// Health is the answer of /healthz and /readyz.
type Health struct {
	// Status is ok, degraded (events are read, but not stored, or revocations are not) or unavailable.
	Status string            `json:"status"`
	Checks map[string]string `json:"checks,omitempty"`
	// Streams are the open ones; Replays are those of them that catch up from the log.
	Streams int `json:"connections"`
	Replays int `json:"replays"`
	// Refused counts since the start who was turned away, by reason; headers_ignored are the
	// requests with identity headers of peers that are no trusted proxy.
	Refused map[string]uint64 `json:"rejections,omitempty"`
	// Windows are by stream.
	Windows map[string]Window `json:"windows,omitempty"`
	// Stored are the streams as their leaders have them, by name. One that did not answer is
	// left out.
	Stored map[string]Stored `json:"stored,omitempty"`
	// NATS is the server that this node is connected to; empty while there is none, or where
	// its name is not known.
	NATS string `json:"nats,omitempty"`
	// Node is this one's name.
	Node string `json:"node"`
	// Presence is how telling the others fares; nil where it is off. An error of it makes no
	// node unready, as nobody's events depend on it.
	Presence *presence.Status `json:"presence,omitempty"`
	// Detail is for operators: /admin/status, and the micro service's status.
	*Detail
}

// Detail is what a node tells its operators beyond Health.
type Detail struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// Since the start, of all feeds. Events are deliveries.
	Connects uint64 `json:"connects"`
	Events   uint64 `json:"events"`
	Bytes    uint64 `json:"bytes"`
	// Tails are by stream.
	Tails map[string]Tail `json:"tails"`
	// ReplayBytes is what replays have requested or hold, of limits.replay_bytes.
	ReplayBytes ReplayBytes `json:"replay_bytes"`
}

// ReplayBytes is the budget of replays.
type ReplayBytes struct {
	Used      int    `json:"used"` // bytes
	Limit     int    `json:"limit"`
	Waiting   int    `json:"waiting"`   // replays
	Suspended uint64 `json:"suspended"` // times since the start that a client read nothing for a second
}

// Window is what a node holds of a stream in memory.
type Window struct {
	First  uint64 `json:"first"` // sequence
	Last   uint64 `json:"last"`
	Events int    `json:"events"`
	Bytes  int    `json:"bytes"`
	// Resumes that the window could serve, and those that had to read the stream. HitRatio is
	// the share of the former; where it is low, a larger window saves consumers.
	FromWindow uint64  `json:"from_window"`
	FromLog    uint64  `json:"from_stream"`
	HitRatio   float64 `json:"hit_ratio"`
}

// Stored is what a stream's leader says of it.
type Stored struct {
	First     uint64 `json:"first"` // sequence; last+1 where nothing is stored
	Last      uint64 `json:"last"`
	Epoch     string `json:"epoch"`
	Consumers int    `json:"consumers"` // of all nodes, and of others
}

// refused leaves out what did not happen.
func (s *Server) refused() map[string]uint64 {
	counts := map[string]uint64{}
	for reason, n := range s.admit.Refused() {
		if n > 0 {
			counts[reason.String()] = n
		}
	}
	if s.headers != nil && s.headers.Ignored() > 0 {
		counts["headers_ignored"] = s.headers.Ignored()
	}
	return counts
}

func windowOf(f *feed.Feed) Window {
	s := f.Status()
	w := Window{
		First: s.Low + 1, Last: s.High, Events: s.Events, Bytes: s.Bytes,
		FromWindow: s.FromWindow, FromLog: s.FromLog, HitRatio: 1,
	}
	if all := s.FromWindow + s.FromLog; all > 0 {
		w.HitRatio = float64(s.FromWindow) / float64(all)
	}
	return w
}

// healthz says that the process answers.
func (s *Server) healthz(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether clients should be sent here: NATS is reached, the streams are there,
// and the tails are level with their streams.
func (s *Server) readyz(c echo.Context) error {
	h := s.health(c.Request().Context())
	status := http.StatusOK
	if h.Status == "unavailable" {
		status = http.StatusServiceUnavailable
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.JSON(status, h)
}

// health asks everything, for two seconds at most.
func (s *Server) health(ctx context.Context) Health {
	h := Health{Status: "ok", Node: s.opts.Node.Name, Checks: map[string]string{}, Windows: map[string]Window{}, Stored: map[string]Stored{}}
	h.Streams, h.Replays = s.admit.Counts()
	h.Refused = s.refused()
	check := func(name string, err error) {
		h.Checks[name] = "ok"
		if err != nil {
			h.Checks[name], h.Status = err.Error(), "unavailable"
		}
	}
	h.NATS = s.nats.ConnectedServerName()
	check("node", s.checkDraining())
	check("nats", s.checkNATS())
	check("streams", s.checkStreams())
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for name, f := range s.feeds {
		state, err := checkTail(ctx, f)
		check("tail "+name, err)
		if state.Epoch != "" {
			h.Stored[name] = Stored{state.FirstSeq, state.LastSeq, state.Epoch, state.Readers}
		}
		h.Windows[name] = windowOf(f)
	}
	s.checkRevocations(&h)
	s.checkStore(&h)
	if s.presence != nil {
		status := s.presence.Status()
		h.Presence = &status
	}
	return h
}

// fullHealth is health with what operators see besides.
func (s *Server) fullHealth(ctx context.Context) Health {
	h := s.health(ctx)
	d := &Detail{Version: s.opts.Node.Version, Started: s.started, Tails: map[string]Tail{}}
	for _, handler := range s.streams {
		status := handler.Status()
		d.Connects += status.Connects
		d.Events += status.LiveEvents + status.MissedEvents
		d.Bytes += status.Bytes
	}
	budget := s.budget.Status()
	d.ReplayBytes = ReplayBytes{Used: budget.Used, Limit: budget.Limit, Waiting: budget.Waiting, Suspended: budget.Suspended}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for name, f := range s.feeds {
		d.Tails[name] = tailOf(ctx, f)
	}
	h.Detail = d
	return h
}

// checkStore looks at the embedded server. One that cannot store still serves what there is.
func (s *Server) checkStore(h *Health) {
	if s.embedded == nil {
		return
	}
	h.Checks["store"] = "ok"
	if err := s.embedded.Err(); err != nil {
		h.Checks["store"] = err.Error()
		h.degrade()
	}
}

func (h *Health) degrade() {
	if h.Status == "ok" {
		h.Status = "degraded"
	}
}

func (s *Server) checkDraining() error {
	if s.draining.Load() {
		return fmt.Errorf("draining")
	}
	return nil
}

func (s *Server) checkStreams() error {
	if why := s.provisioned.Load(); why != nil {
		return fmt.Errorf("%s", *why)
	}
	return s.kept.err()
}

func orUnknown(err error) error {
	if err == nil {
		return fmt.Errorf("not connected")
	}
	return err
}

// checkTail compares the tail with what the stream's leader has. A tail that is behind gets
// a moment, since events may be stored at this very time. It returns what the leader has, if
// that is known.
func checkTail(ctx context.Context, f *feed.Feed) (feed.State, error) {
	if err := f.Status().Lost; err != nil {
		return feed.State{}, err
	}
	state, err := f.State(ctx)
	if err != nil {
		return feed.State{}, err
	}
	for {
		status := f.Status()
		if status.Epoch == state.Epoch && status.High >= state.LastSeq {
			return state, nil
		}
		select {
		case <-ctx.Done():
			return state, fmt.Errorf("at %d of %d", status.High, state.LastSeq)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
