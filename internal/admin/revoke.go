package admin

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/auth"
)

// revokeTimeout bounds the wait for a revocation to be stored.
const revokeTimeout = 5 * time.Second

// maxRevokeBody bounds the body of POST /admin/revoke; auth.ParseRevocation takes less.
const maxRevokeBody = 8 << 10

// postRevoke stores the revocation of its body. It answers 204 once the revocation is stored, and 503
// where it is not, or that is not known. The node needs the permission to publish on revocation.Subject.
func (a *API) postRevoke(c echo.Context) error {
	body, err := io.ReadAll(http.MaxBytesReader(c.Response(), c.Request().Body, maxRevokeBody))
	if err != nil {
		return refuse(c, badRequest("the body cannot be read: %v", err))
	}
	rev, err := auth.ParseRevocation(body)
	if err != nil {
		return refuse(c, badRequest("%v", err))
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), revokeTimeout)
	defer cancel()
	if err := a.opts.Revoke(ctx, rev); err != nil {
		problem.Write(c.Response(), problem.Document{Status: http.StatusServiceUnavailable, Detail: err.Error()})
		return nil
	}
	a.logAction(c, "revoke", slog.String("user", rev.User), slog.String("token", rev.Token))
	return c.NoContent(http.StatusNoContent)
}
