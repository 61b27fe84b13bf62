package server

import (
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/tidemark/tidemark/pkg/jetlog"
)

// Hints writes what to try first, with the addresses that are really bound. What this node
// refuses is not among it; how to have it is.
func (s *Server) Hints(w io.Writer) error {
	base := s.baseURL()
	_, err := fmt.Fprintf(w, "\nTidemark serves %s\n%s\n\n%s%s%s%s\n", base, s.natsLine(), s.tryHints(base), s.consoleHint(base), s.adminHint(), s.identityHint())
	return err
}

// tryHints are commands for a user where ?user= is trusted, else for everybody.
func (s *Server) tryHints(base string) string {
	query, subject := "", broadcastSubject
	if s.takesUsers() {
		query, subject = "?user=42", "notifications.user.42"
	}
	hints := fmt.Sprintf("  listen       curl -N '%s%s%s'\n  publish      nats pub %s '{\"text\":\"hi\"}' -H Event-Type:greeting%s\n",
		base, s.eventPath(), query, subject, s.natsFlag())
	if s.opts.Publish.Enabled && s.opts.Publish.LocalOnly {
		hints += fmt.Sprintf("  or           curl %s/publish -d '{\"subject\":\"%s\",\"event\":\"greeting\",\"data\":{\"text\":\"hi\"}}'\n", base, subject)
	}
	return hints
}

// identityHint says what a node without identities lacks.
func (s *Server) identityHint() string {
	if len(s.opts.Auth.Identity) > 0 || s.opts.Dev {
		return ""
	}
	return `
Without auth.identity every connection receives broadcasts alone. To try users and publishing over HTTP on
this machine, start with --dev. In production set auth.identity (jwt or header) and publish.keys.
`
}

func (s *Server) consoleHint(base string) string {
	if !s.opts.Console {
		return ""
	}
	return "  in a browser " + base + "/\n"
}

func (s *Server) adminHint() string {
	if s.adminListener == nil {
		return ""
	}
	base := "http://" + here(s.AdminAddr())
	return "  operate      tidemark status " + base + "   (" + base + "/metrics)\n"
}

func (s *Server) natsLine() string {
	if s.embedded == nil {
		return "with the NATS server " + jetlog.WithoutLogin(s.opts.NATS.URL)
	}
	return fmt.Sprintf("with NATS clients on %s and its data in %s", s.embedded.ClientURL(), s.opts.Embedded.Dir)
}

// natsFlag is what the nats CLI needs where the server is not at its default.
func (s *Server) natsFlag() string {
	url := jetlog.WithoutLogin(s.opts.NATS.URL)
	if s.embedded != nil {
		url = s.embedded.ClientURL()
	}
	flag := ""
	if url != "nats://127.0.0.1:4222" {
		flag = " -s " + url
	}
	if s.embedded != nil && s.embedded.NeedsLogin() {
		flag += " --user USER --password PASSWORD"
	}
	return flag
}

// baseURL is where this machine reaches the server.
func (s *Server) baseURL() string {
	scheme := "http"
	if s.http.TLSConfig != nil {
		scheme = "https"
	}
	return scheme + "://" + here(s.Addr()) + s.opts.HTTP.BasePath
}

// here is where this machine reaches an address: one that stands for all interfaces is no place
// to connect to.
func here(bound net.Addr) string {
	addr := bound.String()
	if ap, err := netip.ParseAddrPort(addr); err == nil && ap.Addr().IsUnspecified() {
		addr = net.JoinHostPort("127.0.0.1", fmt.Sprint(ap.Port()))
	}
	return addr
}
