package server

import (
	"net/netip"

	"github.com/tidemark/tidemark/internal/engine"
	"github.com/tidemark/tidemark/internal/feedhttp"
	"github.com/tidemark/tidemark/internal/filelimit"
	"github.com/tidemark/tidemark/pkg/auth"
)

// adminSockets bounds the sockets of AdminOptions.Addr. The reserve of open files holds them.
const adminSockets = 64

// openSockets makes what counts and bounds the sockets of both listeners.
func (s *Server) openSockets() {
	limits := s.opts.Sockets
	if limits.All == 0 {
		limits.All = filelimit.Sockets(filelimit.Current())
	}
	if limits.PerAddress == 0 {
		limits.PerAddress = filelimit.PerAddress(limits.All, filelimit.ManySockets)
	}
	trusted := s.opts.HTTP.TrustedProxies
	s.sockets = engine.NewSockets(engine.SocketOptions{
		Max: limits.All, MaxPerAddress: limits.PerAddress,
		Exempt: func(addr netip.Addr) bool { return auth.TrustsAddr(trusted, addr) },
		Logger: s.opts.Logger.With("component", "http"),
	})
	s.adminSockets = engine.NewSockets(engine.SocketOptions{Max: adminSockets, Name: "admin.addr", Logger: s.opts.Logger.With("component", "admin")})
}

// streamLimits returns the limits with their defaults, which follow from the limit of open files.
func streamLimits(limits feedhttp.Limits) feedhttp.Limits {
	if limits.Streams == 0 {
		limits.Streams = filelimit.Streams(filelimit.Current())
	}
	if limits.PerAddress == 0 {
		limits.PerAddress = filelimit.PerAddress(limits.Streams, filelimit.ManyStreams)
	}
	return limits
}
