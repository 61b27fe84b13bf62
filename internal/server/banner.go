package server

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/tidemark/tidemark/internal/natsconn"
)

// WriteBanner writes the commands to try first, with the bound addresses. It omits commands that this node
// refuses, and names the key to set instead. With the log lines of a start it fits into a screen of 24 lines. The
// log line "serving" has the same facts; see logServing.
func (s *Server) WriteBanner(w io.Writer) error {
	base := s.baseURL()
	if exec := containerExec(); exec != "" {
		return s.writeContainerBanner(w, exec)
	}
	_, err := fmt.Fprintf(w, "\nTidemark serves %s%s\n%s%s\n\n%s%s\n", base, s.opts.consoleHint(), s.natsLine(), s.certificateHint(), s.commands(base), s.opts.identityHint())
	return err
}

// logServing logs the node's name, version and addresses in one line.
func (s *Server) logServing() {
	fields := []any{"node", s.opts.Node.Name, "version", cmp.Or(s.opts.Node.Version, "unknown"), "http", s.baseURL()}
	if s.admin != nil {
		fields = append(fields, "admin", "http://"+dialAddr(s.AdminAddr()))
	}
	if s.nats.embedded != nil {
		fields = append(fields, "nats", s.nats.embedded.ClientURL(), "dir", s.opts.Embedded.Dir)
	} else {
		fields = append(fields, "nats", natsconn.WithoutLogin(s.opts.NATS.URL))
	}
	s.opts.Logger.Info("serving", append(fields, "identity", s.opts.identities())...)
}

// identities returns the sources of identities, or the meaning of an empty list.
func (o *Options) identities() string {
	switch {
	case len(o.Auth.Identity) > 0:
		return strings.Join(o.Auth.Identity, ",")
	case o.Dev:
		return "dev"
	}
	return "none"
}

// commands returns the commands to type first; see [Options.example].
func (s *Server) commands(base string) string {
	to := s.opts.example()
	var hints strings.Builder
	hint := func(what, format string, args ...any) {
		fmt.Fprintf(&hints, "  %-8s %s\n", what, fmt.Sprintf(format, args...))
	}
	curl := "curl"
	if s.opts.HTTP.TLS.SelfSigned {
		curl = "curl -k" // it does not verify the certificate
	}
	hint("listen", "%s -N '%s%s%s'", curl, base, to.path, to.query)
	hint("publish", "nats pub %s hi%s", to.subject, s.natsFlag())
	if s.opts.Publish.Enabled && s.opts.Publish.LocalOnly {
		hint("or", "%s %s%s%s -d hi", curl, base, publishBodyPath, url.PathEscape(to.subject))
	}
	if s.admin != nil {
		hint("operate", "tidemark status http://%s", dialAddr(s.AdminAddr()))
	}
	hint("check", "tidemark doctor, with the configuration of this node")
	return hints.String()
}

// identityHint returns the keys to set at a node without identities. It is empty for other nodes.
func (o *Options) identityHint() string {
	if len(o.Auth.Identity) > 0 || o.Dev {
		return ""
	}
	received := ""
	switch plain, others := o.plainSubjects(); {
	case others && len(plain) == 0:
		received = "Without auth.identity no connection has a value for the variables of the feeds' subjects. "
	case others:
		received = "Without auth.identity connections receive only " + strings.Join(plain, ", ") + ". "
	}
	return "\n" + wrap(received+"To try users and publishing over HTTP on this machine, start with --dev. In production set auth.identity (jwt or header) and publish.keys.") + "\n"
}

// wrap breaks a text into lines of at most 79 characters, where its words are shorter.
func wrap(text string) string {
	var out strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		if column > 0 && column+1+len(word) > 79 {
			out.WriteByte('\n')
			column = 0
		}
		if column > 0 {
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += len(word)
	}
	return out.String()
}

func (o *Options) consoleHint() string {
	if !o.Console {
		return ""
	}
	return "/ (open it in a browser)"
}

// certificateHint describes a self-signed certificate, so that users can compare it with that of the browser's warning.
func (s *Server) certificateHint() string {
	if !s.opts.HTTP.TLS.SelfSigned {
		return ""
	}
	return "\nwith a self-signed certificate, of which browsers warn once; its SHA-256:\n" + s.main.tls.Fingerprint()
}

func (s *Server) natsLine() string {
	if s.nats.embedded == nil {
		return "with the NATS server " + natsconn.WithoutLogin(s.opts.NATS.URL)
	}
	return fmt.Sprintf("with NATS clients on %s and its data in %s", s.nats.embedded.ClientURL(), s.opts.Embedded.Dir)
}

// natsFlag returns the flags that the nats CLI needs if the server is not at its default address. It names only
// the first server.
func (s *Server) natsFlag() string {
	addr, _, _ := strings.Cut(natsconn.WithoutLogin(s.opts.NATS.URL), ",")
	if s.nats.embedded != nil {
		addr = s.nats.embedded.ClientURL()
	}
	flag := ""
	if addr != "nats://127.0.0.1:4222" {
		flag = " -s " + addr
	}
	if s.nats.embedded != nil && s.nats.embedded.NeedsLogin() {
		flag += " --user USER --password PASSWORD"
	}
	return flag
}

// baseURL returns the URL at which programs of this machine connect.
func (s *Server) baseURL() string {
	scheme := "http"
	if s.main.tls != nil {
		scheme = "https"
	}
	return scheme + "://" + dialAddr(s.Addr()) + s.opts.HTTP.BasePath
}

// dialAddr returns the address to dial for a bound address: an unspecified address can only be bound.
func dialAddr(bound net.Addr) string {
	addr := bound.String()
	if ap, err := netip.ParseAddrPort(addr); err == nil && ap.Addr().IsUnspecified() {
		addr = net.JoinHostPort("127.0.0.1", fmt.Sprint(ap.Port()))
	}
	return addr
}
