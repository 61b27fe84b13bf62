package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/presence"
	"github.com/tidemark/tidemark/internal/seclog"
	"github.com/tidemark/tidemark/pkg/auth"
)

const (
	// connectionsTimeout bounds the reading of the bucket.
	connectionsTimeout = 5 * time.Second
	// maxConnections bounds a page: some 2 MiB of JSON.
	maxConnections = 10_000
	// maxReaders bounds how many read at a time, each of them with a shard of all nodes in
	// memory.
	maxReaders = 4
)

// Connections is the answer of GET /connections.
type Connections struct {
	// Nodes are all there are, and Total is the sum of their connections, whatever was asked
	// for. Not told of a single user.
	Nodes       []presence.Node       `json:"nodes,omitempty"`
	Total       int                   `json:"total,omitempty"`
	Connections []presence.Connection `json:"connections"`
	// Truncated: there are more; ?after= with Next goes on.
	Truncated bool   `json:"truncated"`
	Next      string `json:"next,omitempty"`
}

func (s *Server) connectionRoutes(e *echo.Echo) {
	e.GET("/connections", s.connections)
	e.GET("/connections/:user", s.connections)
}

// connections tells who is connected, to whom it is allowed.
func (s *Server) connections(c echo.Context) error {
	answer, err := s.readConnections(c)
	if err != nil {
		if errors.Is(err, errPresence) {
			c.Response().Header().Set("Retry-After", "5")
		}
		if refused, ok := errors.AsType[*refusedWatcher](err); ok {
			s.refuseAction(c, seclog.Presence, refused.id, refused.error)
			return nil
		}
		return refuse(c, err)
	}
	c.Response().Header().Set("Cache-Control", "private, no-store")
	return c.JSON(http.StatusOK, answer)
}

var (
	errNoPresence = &auth.Error{Status: http.StatusNotFound, Detail: "who is connected is not kept here; set presence.enabled to have it"}
	errPresence   = &auth.Error{Status: http.StatusServiceUnavailable, Detail: "who is connected cannot be read now; NATS does not answer, or has no bucket of presence"}
)

func (s *Server) readConnections(c echo.Context) (answer Connections, err error) {
	if s.presence == nil {
		return answer, errNoPresence
	}
	if id, err := s.mayWatch(c.Request()); err != nil {
		return answer, &refusedWatcher{id, err}
	}
	q, err := connectionQuery(c)
	if err != nil {
		return answer, err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), connectionsTimeout)
	defer cancel()
	select {
	case s.readers <- struct{}{}:
		defer func() { <-s.readers }()
	case <-ctx.Done():
		return answer, errPresence
	}
	answer, err = s.askConnections(ctx, q)
	if errors.Is(err, presence.ErrUnavailable) {
		s.opts.Logger.Warn("presence cannot be read", "error", err)
		return answer, errPresence
	}
	return answer, err
}

func (s *Server) askConnections(ctx context.Context, q presence.Query) (answer Connections, err error) {
	if q.User == "" {
		if answer.Nodes, err = s.presence.Nodes(ctx); err != nil {
			return answer, err
		}
		for _, n := range answer.Nodes {
			answer.Total += n.Connections
		}
	}
	page, err := s.presence.List(ctx, q)
	answer.Connections, answer.Next, answer.Truncated = page.Connections, page.Next, page.Next != ""
	return answer, err
}

// mayWatch wants the right for it, not just any identity: where people are is none of each
// other's business.
func (s *Server) mayWatch(r *http.Request) (auth.Identity, error) {
	id, err := s.watcher(r)
	if err == nil && !id.Presence {
		err = &auth.Error{Status: http.StatusForbidden, Detail: "this identity may not read who is connected; that takes an API key with " + auth.PresenceRight + ", or a token with the claim of auth.jwt.presence_claim"}
	}
	return id, err
}

// refusedWatcher is the refusal of a request to list connections.
type refusedWatcher struct {
	id auth.Identity
	error
}

func (r *refusedWatcher) Unwrap() error { return r.error }

// connectionQuery takes the user from the path or the query.
func connectionQuery(c echo.Context) (q presence.Query, err error) {
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return q, badQuery("the query cannot be read; escape it as URLs need it")
	}
	for name, list := range values {
		into := map[string]*string{"user": &q.User, "node": &q.Node, "feed": &q.Feed, "after": &q.After, "limit": nil, "access_token": nil}
		field, known := into[name]
		switch {
		case !known:
			return q, badQuery("only ?user=, ?node=, ?feed=, ?limit= and ?after= are known here")
		case len(list) > 1:
			return q, badQuery("?%s= is there more than once", name)
		case field != nil:
			*field = list[0]
		}
	}
	user, err := pathUser(c)
	if err != nil {
		return q, err
	}
	if user != "" {
		if values.Has("user") && q.User != user {
			return q, badQuery("the path names one user and ?user= another")
		}
		q.User = user
	}
	if text := values.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > maxConnections {
			return q, badQuery("?limit= must be a number from 1 to %d", maxConnections)
		}
	}
	return q, nil
}

// pathUser is the user in the path. Echo leaves it as it came where the client escaped what
// needs no escape.
func pathUser(c echo.Context) (string, error) {
	user := c.Param("user")
	if c.Request().URL.RawPath == "" {
		return user, nil
	}
	user, err := url.PathUnescape(user)
	if err != nil {
		return "", badQuery("the path cannot be read; escape it as URLs need it")
	}
	return user, nil
}

func badQuery(format string, args ...any) error {
	return &auth.Error{Status: http.StatusBadRequest, Detail: fmt.Sprintf(format, args...)}
}
