package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/presence"
	"github.com/tidemark/tidemark/internal/seclog"
	"github.com/tidemark/tidemark/pkg/auth"
)

// presenceTimeout bounds the reading of presence.
const presenceTimeout = 5 * time.Second

// Presence reads the connections of all nodes; [presence.Presence] implements it.
type Presence interface {
	Nodes(context.Context) ([]presence.Node, error)
	List(context.Context, presence.Query) (presence.Page, error)
}

// PresenceList is the answer of GET /connections.
type PresenceList struct {
	// Nodes are all nodes, and Total is the sum of their connections, whatever the query selects.
	// Omitted for a single user.
	Nodes       []presence.Node       `json:"nodes,omitempty"`
	Total       int                   `json:"total,omitempty"`
	Connections []presence.Connection `json:"connections"`
	// Truncated: there are more; Next is the value of ?after= for the next page.
	Truncated bool   `json:"truncated"`
	Next      string `json:"next,omitempty"`
}

var (
	errNoPresence          = &auth.Error{Status: http.StatusNotFound, Detail: "presence is disabled on this node; set presence.enabled to list the connections of all nodes"}
	errPresenceUnavailable = &auth.Error{Status: http.StatusServiceUnavailable, Detail: "presence cannot be read; NATS does not respond, or the presence bucket does not exist"}
)

func (a *API) getPresence(c echo.Context) error {
	if a.opts.Presence == nil {
		return refuse(c, errNoPresence)
	}
	if id, err := a.authorizePresence(c.Request()); err != nil {
		return a.refuseAction(c, seclog.Presence, id, err)
	}
	answer, err := a.listPresence(c)
	if err != nil {
		if errors.Is(err, errPresenceUnavailable) {
			c.Response().Header().Set("Retry-After", "5")
		}
		return refuse(c, err)
	}
	c.Response().Header().Set("Cache-Control", "private, no-store")
	return c.JSON(http.StatusOK, answer)
}

func (a *API) listPresence(c echo.Context) (answer PresenceList, err error) {
	q, err := parsePresenceQuery(c)
	if err != nil {
		return answer, err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), presenceTimeout)
	defer cancel()
	release, ok := a.awaitListSlot(ctx)
	if !ok {
		return answer, errPresenceUnavailable
	}
	defer release()
	answer, err = readPresence(ctx, a.opts.Presence, q)
	if errors.Is(err, presence.ErrUnavailable) {
		a.opts.Logger.Warn("presence: cannot be read; connections are not listed", "error", err)
		return answer, errPresenceUnavailable
	}
	return answer, err
}

func readPresence(ctx context.Context, from Presence, q presence.Query) (answer PresenceList, err error) {
	if q.User == "" {
		if answer.Nodes, err = from.Nodes(ctx); err != nil {
			return answer, err
		}
		for _, n := range answer.Nodes {
			answer.Total += n.Connections
		}
	}
	page, err := from.List(ctx, q)
	answer.Connections, answer.Next, answer.Truncated = page.Connections, page.Next, page.Next != ""
	return answer, err
}

// parsePresenceQuery reads the user from the path or the query.
func parsePresenceQuery(c echo.Context) (q presence.Query, err error) {
	var limit string
	values, err := parseQuery(c.Request().URL.RawQuery, parameter{"user", &q.User}, parameter{"node", &q.Node}, parameter{"feed", &q.Feed},
		parameter{"limit", &limit}, parameter{"after", &q.After}, parameter{"access_token", nil})
	if err != nil {
		return q, err
	}
	user, err := pathUser(c)
	if err != nil {
		return q, err
	}
	if user != "" {
		if values.Has("user") && q.User != user {
			return q, badRequest("the path names one user and ?user= another")
		}
		q.User = user
	}
	q.Limit, err = parseLimit(limit, 0)
	return q, err
}

// pathUser returns the user in the path. Echo leaves it encoded where the client escaped what
// needs no escape.
func pathUser(c echo.Context) (string, error) {
	user := c.Param("user")
	if c.Request().URL.RawPath == "" {
		return user, nil
	}
	user, err := url.PathUnescape(user)
	if err != nil {
		return "", badRequest("the path cannot be read; escape it as URLs need it")
	}
	return user, nil
}
