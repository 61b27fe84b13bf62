package server

import (
	"log/slog"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/seclog"
	"github.com/tidemark/tidemark/pkg/auth"
)

// operatorRoutes are what those who operate a node may see and do. They are on the listener of
// Options.Admin alone: a proxy in front of the other one passes everything on.
func (s *Server) operatorRoutes(g *echo.Group) {
	g.GET("/status", func(c echo.Context) error { return c.JSON(http.StatusOK, s.fullHealth(c.Request().Context())) })
	g.GET("/connections", s.ownConnections)
	g.POST("/connections/:id/close", s.closeConnection)
	g.POST("/revoke", s.postRevoke)
	g.GET("/feeds", s.feedStates)
	g.GET("/drain", s.getDrain)
	g.POST("/drain", s.postDrain)
	g.POST("/undrain", s.postUndrain)
	g.GET("/log/level", s.tellLogLevel)
	g.PUT("/log/level", s.setLogLevel)
}

// openOperators makes the source for those who operate the node from elsewhere.
func (s *Server) openOperators() {
	if s.keys != nil {
		s.operator = s.revoked.RejectRevoked(auth.Required(s.keys.Identify))
	}
}

// operatorsOnly lets in this machine itself, as localhost and not through a proxy, and API keys
// with the right for it. A page in a browser here is neither: its Origin tells it, and Host one
// whose name was rebound.
func (s *Server) operatorsOnly(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Set("Cache-Control", "private, no-store")
		id, err := s.mayOperate(c.Request())
		if err == nil && fromAnotherOrigin(c.Request()) {
			err = &auth.Error{Status: http.StatusForbidden, Detail: "pages of another origin may not operate this node"}
		}
		if err != nil {
			s.refuseAction(c, seclog.Operate, id, err)
			return nil
		}
		c.Set(operatorKey, id)
		return next(c)
	}
}

// mayOperate returns who operates: a program of this machine, with the zero identity, or an API key.
func (s *Server) mayOperate(r *http.Request) (auth.Identity, error) {
	if auth.FromLoopback(r) {
		return auth.Identity{}, nil
	}
	denied := &auth.Error{Status: http.StatusForbidden, Detail: "/admin is for this machine itself, as localhost, and for API keys with " + auth.AdminRight + " (publish.keys)"}
	if s.operator == nil {
		return auth.Identity{}, denied
	}
	id, err := s.operator(r)
	if err == nil && !id.Admin {
		err = denied
	}
	return id, err
}

func (s *Server) closeConnection(c echo.Context) error {
	id, err := strconv.ParseUint(c.Param("id"), 10, 64)
	if err != nil {
		return refuse(c, badQuery("the id in the path must be a number, as GET /admin/connections tells it"))
	}
	for _, h := range s.streams {
		if h.Close(id) {
			s.acceptedAction(c, "close connection", slog.Uint64("id", id))
			return c.NoContent(http.StatusNoContent)
		}
	}
	feedhttp.WriteProblem(c.Response(), feedhttp.Problem{Status: http.StatusNotFound, Detail: "this node has no stream with the id " + c.Param("id") + "; it may have ended"})
	return nil
}

// refuse answers an error, which is all that there is to do about it.
func refuse(c echo.Context, err error) error {
	feedhttp.Refuse(c.Response(), err)
	return nil
}

type logLevelBody struct {
	Level string `json:"level"`
}

func (s *Server) tellLogLevel(c echo.Context) error {
	if s.opts.LogLevel == nil {
		feedhttp.WriteProblem(c.Response(), feedhttp.Problem{Status: http.StatusNotFound, Detail: "the level of this node's log cannot be changed"})
		return nil
	}
	return c.JSON(http.StatusOK, logLevelBody{s.opts.LogLevel.String()})
}

func (s *Server) setLogLevel(c echo.Context) error {
	if s.opts.LogLevel == nil {
		return s.tellLogLevel(c)
	}
	var body logLevelBody
	if err := decodeSmall(c, &body); err != nil {
		return refuse(c, badQuery(`the body must be JSON such as {"level":"debug"}`))
	}
	before := s.opts.LogLevel.String()
	if err := s.opts.LogLevel.Set(body.Level); err != nil {
		return refuse(c, badQuery("level: %v", err))
	}
	s.acceptedAction(c, "set log level", slog.String("from", before), slog.String("to", body.Level))
	return s.tellLogLevel(c)
}
