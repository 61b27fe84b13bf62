package admin

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/feedhttp"
)

// Connection is a connection of this node.
type Connection struct {
	ID       uint64                   `json:"id"` // for POST /admin/connections/{id}/close
	User     string                   `json:"user,omitempty"`
	Feed     string                   `json:"feed"`
	Remote   string                   `json:"remote"`
	Since    time.Time                `json:"since"`
	Position string                   `json:"position,omitempty"` // the last id that was sent
	Filters  int                      `json:"filters"`
	Events   int                      `json:"events"`
	State    feedhttp.ConnectionState `json:"state"`
	Form     string                   `json:"form"` // sse, envelope, ndjson or json
}

// ConnectionList is the answer of GET /admin/connections.
type ConnectionList struct {
	Total       int          `json:"total"` // that match, on this page or not
	Connections []Connection `json:"connections"`
	// Next is the value of ?after= for the next page; only in the order of ids.
	Next uint64 `json:"next,omitempty"`
}

// connectionQuery is the query of GET /admin/connections.
type connectionQuery struct {
	user, feed, state, form, sort string
	after                         uint64
	limit                         int
}

func (q connectionQuery) matches(c feedhttp.Connection) bool {
	return c.State != feedhttp.Ended && (q.user == "" || c.User == q.user) && (q.feed == "" || c.Feed == q.feed) &&
		(q.state == "" || string(c.State) == q.state) && (q.form == "" || c.Form == q.form)
}

// byID reports whether the order is that of ids.
func (q connectionQuery) byID() bool { return q.sort == "" || q.sort == "id" }

var orders = map[string]func(a, b feedhttp.Connection) int{
	"":       func(a, b feedhttp.Connection) int { return cmp.Compare(a.ID, b.ID) },
	"id":     func(a, b feedhttp.Connection) int { return cmp.Compare(a.ID, b.ID) },
	"events": func(a, b feedhttp.Connection) int { return cmp.Compare(b.Events, a.Events) },
	"since":  func(a, b feedhttp.Connection) int { return b.Since.Compare(a.Since) },
	"user":   func(a, b feedhttp.Connection) int { return cmp.Compare(a.User, b.User) },
}

func parseConnectionQuery(rawQuery string) (q connectionQuery, err error) {
	var after, limit string
	if _, err = parseQuery(rawQuery, parameter{"user", &q.user}, parameter{"feed", &q.feed}, parameter{"state", &q.state}, parameter{"form", &q.form},
		parameter{"sort", &q.sort}, parameter{"after", &after}, parameter{"limit", &limit}); err != nil {
		return q, err
	}
	if _, ok := orders[q.sort]; !ok {
		return q, badRequest("?sort= must be id, events, since or user")
	}
	states := []string{"", string(feedhttp.Waiting), string(feedhttp.Replaying), string(feedhttp.Live)}
	if !slices.Contains(states, q.state) {
		return q, badRequest("?state= must be waiting, replaying or live")
	}
	if !slices.Contains(append(feedhttp.FormNames(), ""), q.form) {
		return q, badRequest("?form= must be one of %s", strings.Join(feedhttp.FormNames(), ", "))
	}
	if q.limit, err = parseLimit(limit, 100); err != nil {
		return q, err
	}
	if after != "" {
		if q.after, err = strconv.ParseUint(after, 10, 64); err != nil || !q.byID() {
			return q, badRequest("?after= must be an id, and needs the order of ids")
		}
	}
	return q, nil
}

func (a *API) getConnections(c echo.Context) error {
	q, err := parseConnectionQuery(c.Request().URL.RawQuery)
	if err != nil {
		return refuse(c, err)
	}
	release, ok := a.awaitListSlot(c.Request().Context())
	if !ok {
		return nil
	}
	defer release()
	return c.JSON(http.StatusOK, a.list(q))
}

func (a *API) list(q connectionQuery) ConnectionList {
	var found []feedhttp.Connection
	for _, f := range a.opts.Feeds {
		found = append(found, slices.DeleteFunc(f.Handler.Connections(), func(c feedhttp.Connection) bool { return !q.matches(c) })...)
	}
	slices.SortStableFunc(found, func(a, b feedhttp.Connection) int { return cmp.Or(orders[q.sort](a, b), orders["id"](a, b)) })
	answer := ConnectionList{Total: len(found), Connections: []Connection{}}
	for _, c := range found {
		if q.after > 0 && c.ID <= q.after {
			continue
		}
		if len(answer.Connections) == q.limit {
			if q.byID() {
				answer.Next = answer.Connections[q.limit-1].ID
			}
			break
		}
		answer.Connections = append(answer.Connections, newConnection(c))
	}
	return answer
}

func newConnection(c feedhttp.Connection) Connection {
	position := ""
	if c.Position.Epoch != "" {
		position = c.Position.String()
	}
	return Connection{
		ID: c.ID, User: c.User, Feed: c.Feed, Remote: c.Remote, Since: c.Since, Position: position,
		Filters: c.Filters, Events: c.Events, State: c.State, Form: c.Form,
	}
}
