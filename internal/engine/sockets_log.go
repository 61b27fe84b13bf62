package engine

import (
	"log/slog"
	"net/netip"
	"time"
)

// socketLogEvery is how often a reached limit is logged at most.
const socketLogEvery = 10 * time.Second

// socketLog thins out the lines about reached limits.
type socketLog struct {
	next   time.Time
	before SocketStatus // what the line before has counted
}

// socketLine is a line about a limit that a socket has met; not written where it has no limit.
type socketLine struct {
	limit      string
	max        int
	open       int
	prefix     netip.Prefix
	refused    uint64 // since the line before
	idleClosed uint64
	counts     SocketStatus
}

// lineLocked describes the limit that a socket of the owner has met.
func (s *Sockets) lineLocked(owner *socketOwner, perAddress bool) socketLine {
	line := socketLine{limit: s.opts.Name, max: s.opts.Max, open: s.open, prefix: owner.prefix, counts: s.counts}
	if perAddress {
		line.limit, line.max, line.open = s.opts.Name+"_per_address", s.opts.MaxPerAddress, owner.open
	}
	return line
}

// noteLocked returns the line where one is due, with what happened since the one before.
func (l *socketLog) noteLocked(line socketLine, now time.Time) socketLine {
	if now.Before(l.next) {
		return socketLine{}
	}
	counts := line.counts
	line.refused = counts.Refused + counts.RefusedPerAddress - l.before.Refused - l.before.RefusedPerAddress
	line.idleClosed = counts.IdleClosed - l.before.IdleClosed
	l.next, l.before = now.Add(socketLogEvery), counts
	return line
}

func (l socketLine) write(logger *slog.Logger) {
	if l.limit == "" {
		return
	}
	fields := []any{"limit", l.limit, "max", l.max, "open", l.open, "rejected", l.refused, "idle_closed", l.idleClosed}
	if l.prefix.IsValid() {
		fields = append(fields, "address", l.prefix.String())
	}
	logger.Warn("socket limit reached; idle sockets are closed, and new ones where none is idle: raise the limit, or name a proxy that has the address in http.trusted_proxies", fields...)
}
