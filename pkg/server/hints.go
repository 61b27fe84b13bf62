package server

import (
	"fmt"
	"io"
	"net"
	"net/netip"
)

// Hints writes what to try first, with the addresses that are really bound.
func (s *Server) Hints(w io.Writer) error {
	base := s.baseURL()
	_, err := fmt.Fprintf(w, `
Tidemark serves %[1]s
%[2]s

  listen       curl -N '%[1]s%[3]s?user=42'
  publish      nats pub notifications.user.42 '{"text":"hi"}' -H Event-Type:greeting%[4]s
  or           curl %[1]s/publish -d '{"subject":"notifications.user.42","event":"greeting","data":{"text":"hi"}}'
%[5]s%[6]s
`, base, s.natsLine(), s.eventPath(), s.natsFlag(), s.consoleHint(base), s.adminHint())
	return err
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
		return "with the NATS server " + s.opts.NATS.URL
	}
	return fmt.Sprintf("with NATS clients on %s and its data in %s", s.embedded.ClientURL(), s.opts.Embedded.Dir)
}

// natsFlag is what the nats CLI needs where the server is not at its default.
func (s *Server) natsFlag() string {
	url := s.opts.NATS.URL
	if s.embedded != nil {
		url = s.embedded.ClientURL()
	}
	if url == "nats://127.0.0.1:4222" {
		return ""
	}
	return " -s " + url
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
