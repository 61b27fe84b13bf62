package server

import (
	"maps"
	"net/http"
	"path"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/seclog"
	"github.com/tidemark/tidemark/pkg/auth"
)

// tag returns the tag of an account. It is empty without a key: auth.tag_key is not set, and the stream with the
// key of the nodes cannot be read.
func (s *Server) tag(id auth.Identity) (string, error) {
	if !s.callers.tags.Ready() && s.revocations.Waiting() {
		return "", &auth.Error{Status: http.StatusServiceUnavailable, Detail: "this node is starting and cannot distinguish accounts yet; try again, or at another node"}
	}
	return s.callers.tags.Tag(id), nil
}

// identityPaths returns /identity, and a path next to the path of each feed, so that a client can request it also
// behind a proxy that passes on one directory.
func (o *Options) identityPaths() []string {
	paths, feeds := map[string]bool{"/identity": true}, map[string]bool{}
	for _, f := range o.Feeds {
		for _, p := range f.Paths {
			paths[path.Join(path.Dir(p), "identity")] = true
			feeds[p] = true
		}
	}
	maps.DeleteFunc(paths, func(p string, _ bool) bool { return feeds[p] })
	return slices.Sorted(maps.Keys(paths))
}

func (s *Server) identityRoutes(e *echo.Echo) {
	vary := []string{"Authorization", "Cookie"}
	if s.callers.headers != nil {
		vary = append(vary, s.callers.headers.Names()...)
	}
	h := echo.WrapHandler(feedhttp.NewIdentity(feedhttp.IdentityOptions{
		Identify: s.callers.reader, Tag: s.tag, Vary: vary, Admission: s.clients.admission, Refused: s.refusedRequests(seclog.Login),
	}))
	for _, p := range s.opts.identityPaths() {
		e.Any(p, h)
	}
}
