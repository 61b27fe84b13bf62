package feed

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

type startKind uint8

const (
	startNew startKind = iota
	startAll
	startLast
	startSeq
	startTime
	startResume
	startMalformed
)

// Start is where a subscription begins. The zero Start is the present. [Feed.Subscribe] resolves it.
type Start struct {
	kind     startKind
	position Position
	time     time.Time
	raw      string   // as the client named it
	among    []string // several positions, of which the present epoch decides
}

// Resume starts after the position of a client, such as its Last-Event-ID. A position
// that cannot be read begins at the present, behind a gap with the reason Malformed: a client that
// repeats its id on every reconnect must not be rejected.
//
// Of several positions the highest of the present epoch counts, or else the first: some clients
// add the position of a reconnect to the first one of their URL. Without a position it starts at the present.
func Resume(raws ...string) Start {
	switch len(raws) {
	case 0:
		return Start{}
	case 1:
		return resume(raws[0])
	}
	return Start{kind: startResume, among: raws}
}

func resume(raw string) Start {
	p, err := ParsePosition(raw)
	if err != nil {
		return Start{kind: startMalformed, raw: raw}
	}
	return Start{kind: startResume, position: p, raw: raw}
}

// choose returns the start at one of several positions, given the present epoch.
func (s Start) choose(epoch string) Start {
	if len(s.among) == 0 {
		return s
	}
	best, found := resume(s.among[0]), false
	for _, raw := range s.among {
		c := resume(raw)
		if c.kind != startResume || c.position.Epoch != "" && c.position.Epoch != epoch {
			continue
		}
		if !found || c.position.Seq > best.position.Seq {
			best, found = c, true
		}
	}
	return best
}

// Last reports whether the start is at the latest event of each subject.
func (s Start) Last() bool { return s.kind == startLast }

// ParseFrom parses the start of a client without a position. It accepts `new`, `all`, `last` (the latest
// event of each subject, then live), a sequence (that event comes first), an RFC 3339 time, and a duration
// before now such as `90s`, `10m` or `7d`.
func ParseFrom(s string, now time.Time) (Start, error) {
	switch s {
	case "", "new":
		return Start{}, nil
	case "all":
		return Start{kind: startAll}, nil
	case "last":
		return Start{kind: startLast}, nil
	}
	if seq, err := parseSeq(s); err == nil {
		return Start{kind: startSeq, position: Position{Seq: seq - min(seq, 1)}, raw: s}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return Start{kind: startTime, time: t}, nil
	}
	if d, err := parseDuration(s); err == nil && d >= 0 {
		return Start{kind: startTime, time: now.Add(-d)}, nil
	}
	return Start{}, fmt.Errorf("%q is not one of: new, all, last, a sequence, an RFC 3339 time (2026-01-31T12:00:00Z), a duration (10m, 7d)", s)
}

// parseDuration accepts days too, as retention is counted in days.
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(s)
}
