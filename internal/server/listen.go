package server

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/httpserver"
	"github.com/tidemark/tidemark/internal/logging"
	"github.com/tidemark/tidemark/internal/tlsconfig"
)

// bind binds the HTTP address, with TLS if there is a certificate.
func (s *Server) bind(context.Context) (err error) {
	s.main, err = s.bindAddr("http.addr", s.opts.HTTP.Addr)
	return err
}

// wrapMain passes connections with subscribe requests to the engine, which costs less than net/http.
func (s *Server) wrapMain() error {
	l, err := s.clients.engine.Attach(s.main.http, s.main.Listener, engine.ListenerOptions{
		IsSubscribe: s.opts.isFeedURL, Sockets: s.main.sockets, SendBuffer: httpserver.SendBuffer,
	})
	if err != nil {
		return err
	}
	s.main.Listener = l
	return nil
}

// isFeedURL reports whether the path of a request, as the client sends it, is of a feed.
func (o *Options) isFeedURL(path string) bool {
	path, ok := strings.CutPrefix(path, o.HTTP.BasePath)
	return ok && o.isFeedPath(path)
}

func (o *Options) isFeedPath(path string) bool {
	return slices.ContainsFunc(o.Feeds, func(f FeedOptions) bool { return slices.Contains(f.Paths, path) })
}

// newHTTPServer returns a server of HTTP/1.1 and HTTP/2. In the clear HTTP/2 needs prior knowledge (h2c).
func newHTTPServer(opts HTTPOptions, secure *tlsconfig.TLS, handler http.Handler, logger *slog.Logger) *http.Server {
	srv := httpserver.New(handler, httpserver.Options{
		HeadTimeout: opts.HeadTimeout, BodyTimeout: opts.BodyTimeout, ErrorLog: logging.HTTPErrors(logger.With("component", "http")),
	})
	if secure == nil {
		return srv
	}
	srv.Protocols.SetUnencryptedHTTP2(false)
	srv.Protocols.SetHTTP2(true)
	srv.TLSConfig = secure.Config()
	return srv
}
