package admin

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/pkg/auth"
)

// ErrStopping is the error of Drainer.Cancel once the process is stopping.
var ErrStopping = errors.New("the process is stopping, which cannot be cancelled; start it again")

// Drainer drains the node.
type Drainer interface {
	Status() Drain
	// Start begins to drain, and reports false where a drain is under way already.
	Start() (started bool)
	// Cancel ends a drain, and reports false where there is none. Its error is ErrStopping.
	Cancel() (cancelled bool, err error)
}

// Drain is the answer of /admin/drain.
type Drain struct {
	Draining    bool       `json:"draining"` // /readyz answers 503, new connections are closed at once
	Closing     bool       `json:"closing"`  // the delay has passed: open connections are closed, too
	Stopping    bool       `json:"stopping"` // the process ends once the connections have
	Since       *time.Time `json:"since,omitempty"`
	DelayMS     int64      `json:"delay_ms"`    // from draining to closing
	PeriodMS    int64      `json:"period_ms"`   // over which the connections are closed, at most
	Connections int        `json:"connections"` // connections that are still open
}

func (a *API) getDrain(c echo.Context) error { return c.JSON(http.StatusOK, a.opts.Drain.Status()) }

// postDrain drains the node and answers at once. The process stays, so that an operator sees the
// node empty before it is stopped; a preStop hook waits for that with `tidemark drain`.
func (a *API) postDrain(c echo.Context) error {
	if a.opts.Drain.Start() {
		a.logAction(c, "drain")
	}
	return c.JSON(http.StatusAccepted, a.opts.Drain.Status())
}

// postUndrain cancels a drain, for example of the wrong node.
func (a *API) postUndrain(c echo.Context) error {
	cancelled, err := a.opts.Drain.Cancel()
	if err != nil {
		return refuse(c, &auth.Error{Status: http.StatusConflict, Detail: err.Error()})
	}
	if cancelled {
		a.logAction(c, "undrain")
	}
	return c.JSON(http.StatusOK, a.opts.Drain.Status())
}
