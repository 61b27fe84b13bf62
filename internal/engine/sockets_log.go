package engine

import (
	"log/slog"
	"net/netip"
	"time"
)

// socketLogEvery is the minimum interval between messages about reached limits.
const socketLogEvery = 10 * time.Second

// socketLog limits the rate of messages about reached limits.
type socketLog struct {
	next   time.Time
	before SocketStatus // the counts of the previous message
}

// socketLine is a message about a reached limit. It is not written if limit is empty.
type socketLine struct {
	limit      string
	max        int
	open       int
	prefix     netip.Prefix
	refused    uint64 // since the previous message
	idleClosed uint64
	counts     SocketStatus
}

// lineLocked describes the limit reached by a socket of the owner.
func (s *Sockets) lineLocked(owner *socketOwner, perAddress bool) socketLine {
	line := socketLine{limit: s.opts.Name, max: s.opts.Max, open: s.open, prefix: owner.prefix, counts: s.counts}
	if perAddress {
		line.limit, line.max, line.open = s.opts.Name+"_per_address", s.opts.MaxPerAddress, owner.open
	}
	return line
}

// noteLocked returns the message with the counts since the previous one, or an empty message within
// socketLogEvery.
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
	fields := []any{"limit", l.limit, "max", l.max, "open", l.open, "rejected", l.refused, "idle_closed", l.idleClosed,
		"remedy", "raise the limit, or list the proxy with this address in http.trusted_proxies"}
	if l.prefix.IsValid() {
		fields = append(fields, "address", l.prefix.String())
	}
	logger.Warn("sockets: limit reached; closing idle sockets, or new ones if none is idle", fields...)
}
