package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/httpserver"
)

// listen binds the HTTP address, with TLS where there is a certificate.
func listen(opts HTTPOptions) (net.Listener, error) {
	l, err := net.Listen("tcp", opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("http.addr: cannot listen on %s: %w; stop what listens there or choose another address", opts.Addr, err)
	}
	return l, nil
}

// front lets the engine answer the streams among the first requests of connections, which it
// does for less than net/http.
func (s *Server) front() error {
	s.http.ConnState = s.sockets.ConnState
	if s.http.TLSConfig != nil {
		s.listener = s.sockets.Listen(s.listener, httpserver.SendBuffer)
		return nil
	}
	l, err := s.engine.WrapListener(s.listener, engine.ListenerOptions{
		Handler: s.http.Handler, IsSubscribe: s.isFeedURL, Sockets: s.sockets, SendBuffer: httpserver.SendBuffer, HeadTimeout: s.opts.HTTP.HeadTimeout,
	})
	if err != nil {
		return err
	}
	s.listener = l
	return nil
}

// isFeedURL is isStream for the path of a request as the client sends it.
func (s *Server) isFeedURL(path string) bool {
	path, ok := strings.CutPrefix(path, s.opts.HTTP.BasePath)
	return ok && s.isStream(path)
}

func (s *Server) isStream(path string) bool {
	return slices.ContainsFunc(s.opts.Feeds, func(f FeedOptions) bool { return slices.Contains(f.Paths, path) })
}

// newHTTPServer speaks HTTP/1.1 and HTTP/2; in the clear HTTP/2 needs prior knowledge (h2c).
func newHTTPServer(opts HTTPOptions, cert *certificate, handler http.Handler, logger *slog.Logger) *http.Server {
	srv := httpserver.New(handler, httpserver.Options{
		HeadTimeout: opts.HeadTimeout, BodyTimeout: opts.BodyTimeout, ErrorLog: errorLog(logger.With("part", "http")),
	})
	if cert == nil {
		return srv
	}
	srv.Protocols.SetUnencryptedHTTP2(false)
	srv.Protocols.SetHTTP2(true)
	srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suitesTLS12, GetCertificate: cert.get}
	return srv
}

// suitesTLS12 are those of TLS 1.2 with forward secrecy and authenticated encryption. Go's default
// has ECDHE with CBC, too, which scanners report as weak. TLS 1.3 has its own, which are not configured.
var suitesTLS12 = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

func serveHTTP(srv *http.Server, l net.Listener) error {
	if srv.TLSConfig != nil {
		return srv.ServeTLS(l, "", "")
	}
	return srv.Serve(l)
}
