package feedhttp

import "time"

// deadlines end a session at a time. The zero value has none.
//
// They use two clocks. A duration from now, such as the maximum age, becomes a time with a
// monotonic reading. The expiry of a token is a time on the wall clock alone. The engine's
// deadlines are monotonic, so the expiry is converted with the clocks of each turn, and compared
// again once that deadline has passed: a wall clock that was set back gives a later deadline. A
// step forward has an effect at the next turn, at the latest with the next heartbeat.
type deadlines struct {
	at      time.Time // monotonic; the zero time for never
	err     error     // the reason to close at that time
	expires int64     // wall clock, Unix time in ms: a third of a time.Time; 0 for never
}

// set ends the session at a monotonic time, unless an earlier one is set.
func (d *deadlines) set(at time.Time, why error) {
	if d.at.IsZero() || at.Before(d.at) {
		d.at, d.err = at, why
	}
}

// expireAt ends the session at a time on the wall clock; never for the zero time.
func (d *deadlines) expireAt(at time.Time) {
	if !at.IsZero() {
		d.expires = max(at.Add(time.Millisecond-1).UnixMilli(), 1)
	}
}

// passed returns the reason of a deadline that has passed; nil for none.
func (d *deadlines) passed(now time.Time) error {
	switch {
	case !d.at.IsZero() && !now.Before(d.at):
		return d.err
	case d.expires != 0 && now.UnixMilli() >= d.expires:
		return errExpired
	}
	return nil
}

// next returns the earliest of due and the deadlines, as a monotonic time.
func (d *deadlines) next(due, now time.Time) time.Time {
	if !d.at.IsZero() && d.at.Before(due) {
		due = d.at
	}
	if d.expires == 0 {
		return due
	}
	left := min(d.expires-now.UnixMilli(), time.Hour.Milliseconds()) // more would overflow for centuries
	if expires := now.Add(time.Duration(left) * time.Millisecond); expires.Before(due) {
		due = expires
	}
	return due
}

// idleClock measures the time since the last event that a client was sent. One write may take longer than
// MaxIdle, so the clock starts again when the kernel has accepted the events.
type idleClock struct {
	since   time.Time // when the last event was handed over, or accepted by the kernel
	pending bool      // the kernel is not known to have accepted it
}

// handedOver starts the clock at events that the engine is about to write.
func (c *idleClock) handedOver(now time.Time) { c.since, c.pending = now, true }

// confirm starts the clock again at the time when the kernel had accepted what was handed over.
func (c *idleClock) confirm(written time.Time) {
	if c.pending && !written.Before(c.since) {
		c.since, c.pending = written, false
	}
}
