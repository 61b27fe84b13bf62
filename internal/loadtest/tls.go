package loadtest

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// curves are the key exchanges that Options.TLSCurves may name.
var curves = []tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}

func parseCurves(names []string) (ids []tls.CurveID, err error) {
	for _, name := range names {
		i := slices.IndexFunc(curves, func(id tls.CurveID) bool { return strings.EqualFold(id.String(), name) })
		if i < 0 {
			return nil, fmt.Errorf("--tls-curves %q: want some of %s", name, strings.Trim(fmt.Sprint(curves), "[]"))
		}
		ids = append(ids, curves[i])
	}
	return ids, nil
}

// tlsConfig returns the configuration of clients that share TLS sessions.
func (s *localClients) tlsConfig() *tls.Config {
	c := &tls.Config{
		ServerName:         s.server.Hostname(),
		InsecureSkipVerify: s.opts.Insecure, //nolint:gosec // requested with --insecure
		NextProtos:         []string{s.opts.alpn()},
		CurvePreferences:   s.curves,
	}
	if !s.opts.FullHandshakes {
		c.ClientSessionCache = &lastSession{}
	}
	return c
}

func (o Options) alpn() string {
	if o.HTTP2 {
		return "h2"
	}
	return "http/1.1"
}

// lastSession keeps the newest TLS session of a server. A handshake and the connection before it may use it at the same
// time.
type lastSession struct {
	session atomic.Pointer[tls.ClientSessionState]
}

// Get returns the newest session.
func (l *lastSession) Get(string) (*tls.ClientSessionState, bool) {
	s := l.session.Load()
	return s, s != nil
}

// Put stores a session.
func (l *lastSession) Put(_ string, s *tls.ClientSessionState) { l.session.Store(s) }

// countHandshake counts the handshake of a new TLS connection.
func (s *localClients) countHandshake(state tls.ConnectionState) {
	if state.DidResume {
		s.resumedHandshakes.Add(1)
	} else {
		s.fullHandshakes.Add(1)
	}
}

// checkProtocol returns an error if the server did not choose the protocol of the run.
func (o Options) checkProtocol(state tls.ConnectionState) error {
	switch p := state.NegotiatedProtocol; {
	case p == o.alpn(), p == "" && !o.HTTP2: // servers without ALPN use HTTP/1.1
		return nil
	default:
		return fmt.Errorf("the server chose the protocol %q, not %q", p, o.alpn())
	}
}
