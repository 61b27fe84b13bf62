package admin

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/problem"
)

type logLevelBody struct {
	Level string `json:"level"`
}

func (a *API) getLogLevel(c echo.Context) error {
	if a.opts.LogLevel == nil {
		problem.Write(c.Response(), problem.Document{Status: http.StatusNotFound, Detail: "the level of this node's log cannot be changed"})
		return nil
	}
	return c.JSON(http.StatusOK, logLevelBody{a.opts.LogLevel.String()})
}

func (a *API) putLogLevel(c echo.Context) error {
	if a.opts.LogLevel == nil {
		return a.getLogLevel(c)
	}
	var body logLevelBody
	dec := json.NewDecoder(http.MaxBytesReader(c.Response(), c.Request().Body, 1<<10))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil {
		return refuse(c, badRequest(`the body must be JSON such as {"level":"debug"}`))
	}
	before := a.opts.LogLevel.String()
	if err := a.opts.LogLevel.Set(body.Level); err != nil {
		return refuse(c, badRequest("level: %v", err))
	}
	a.logAction(c, "set log level", slog.String("from", before), slog.String("to", body.Level))
	return a.getLogLevel(c)
}
