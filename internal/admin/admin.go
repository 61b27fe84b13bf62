// Package admin is the HTTP API of a node's operators, and the list of connected users.
//
// [API.Routes] are for a listener of operators: /admin (status, connections, revocations, feeds, drain, log level)
// and /debug/pprof. [API.ConnectionRoutes] are for the listener of clients: GET /connections, which reads presence
// over all nodes.
//
// # Access
//
//   - /admin: programs of this machine, as localhost and without a proxy, and API keys with [auth.AdminRight].
//   - /debug/pprof: programs of this machine alone.
//   - GET /connections: identities with the right to presence ([auth.PresenceRight] or a claim).
//
// Pages of other origins are refused, and every refusal is in the security log, as is every action that changes
// the node. At most four lists are read at a time, because each has all connections of a node, or a shard of
// all nodes, in memory.
package admin

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/health"
	"github.com/tidemark/tidemark/internal/logging"
	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/internal/seclog"
	"github.com/tidemark/tidemark/pkg/auth"
)

// Options has the parts of the node for the API.
type Options struct {
	Health *health.Reporter
	Feeds  []Feed
	Drain  Drainer
	// Revoke stores a revocation, and blocks until it is stored.
	Revoke func(context.Context, auth.Revocation) error
	// LogLevel is nil if the level cannot be changed.
	LogLevel *logging.Level
	// Presence is nil where presence is off.
	Presence Presence
	// PresenceReaders identifies callers of GET /connections; the identity needs the right for it.
	PresenceReaders auth.Source
	// Operators identifies callers of /admin from other machines; nil where there are no API keys.
	Operators auth.Source
	Security  *seclog.Log
	Logger    *slog.Logger
}

// Feed is one feed of the node.
type Feed struct {
	Name, Stream    string
	Paths           []string
	Subjects, Allow []string // templates
	Handler         *feedhttp.Subscribe
	Events          *feed.Feed // of the stream
}

// maxLists bounds how many lists are read at a time.
const maxLists = 4

// API serves the routes. Make it with New.
type API struct {
	opts      Options
	listSlots chan struct{}
}

// New returns an API.
func New(opts Options) *API { return &API{opts: opts, listSlots: make(chan struct{}, maxLists)} }

// Routes adds the routes of operators to a router. Clients must not reach its listener: a proxy in front
// of the clients' listener passes everything on.
func (a *API) Routes(e *echo.Echo) {
	g := e.Group("/admin", a.operatorsOnly)
	g.GET("/status", func(c echo.Context) error { return c.JSON(http.StatusOK, a.opts.Health.Full(c.Request().Context())) })
	g.GET("/connections", a.getConnections)
	g.POST("/connections/:id/close", a.postClose)
	g.POST("/revoke", a.postRevoke)
	g.GET("/feeds", a.getFeeds)
	g.GET("/drain", a.getDrain)
	g.POST("/drain", a.postDrain)
	g.POST("/undrain", a.postUndrain)
	g.GET("/log/level", a.getLogLevel)
	g.PUT("/log/level", a.putLogLevel)
	pprofRoutes(e.Group("/debug/pprof", LoopbackOnly("profiles are for this machine itself, as localhost: forward the port"), sameOrigin, boundedProfile))
}

// ConnectionRoutes adds GET /connections, and GET /connections/{user}.
func (a *API) ConnectionRoutes(e *echo.Echo) {
	e.GET("/connections", a.getPresence)
	e.GET("/connections/:user", a.getPresence)
}

// awaitListSlot blocks until a list may be read, and reports false where ctx ended before.
func (a *API) awaitListSlot(ctx context.Context) (release func(), ok bool) {
	select {
	case a.listSlots <- struct{}{}:
		return func() { <-a.listSlots }, true
	case <-ctx.Done():
		return nil, false
	}
}

func (a *API) postClose(c echo.Context) error {
	id, err := strconv.ParseUint(c.Param("id"), 10, 64)
	if err != nil {
		return refuse(c, badRequest("the id in the path must be a number; GET /admin/connections lists the ids"))
	}
	for _, f := range a.opts.Feeds {
		if f.Handler.Close(id) {
			a.logAction(c, "close connection", slog.Uint64("id", id))
			return c.NoContent(http.StatusNoContent)
		}
	}
	problem.Write(c.Response(), problem.Document{Status: http.StatusNotFound, Detail: "this node has no connection with the id " + c.Param("id") + "; it may have ended"})
	return nil
}
