package feedhttp

import "time"

// deadlines are when a session ends though nothing happens. The zero value has none.
//
// They use two clocks. A duration from now, such as the maximum age, becomes a time with a
// monotonic reading. The expiry of a token is a time on the wall clock alone. The engine's
// deadlines are monotonic, so the expiry is converted with the clocks of each turn, and compared
// again once that deadline has passed: a wall clock that was set back gives a later deadline, and
// one that was set forward is noticed at the next turn, at the latest with the next heartbeat.
type deadlines struct {
	until   time.Time // monotonic; the zero time for never
	over    error     // what until means
	expires int64     // wall clock, Unix time in ms: a third of a time.Time; 0 for never
}

// endAt ends the session at a monotonic time, unless an earlier one is set.
func (d *deadlines) endAt(at time.Time, over error) {
	if d.until.IsZero() || at.Before(d.until) {
		d.until, d.over = at, over
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
	case !d.until.IsZero() && !now.Before(d.until):
		return d.over
	case d.expires != 0 && now.UnixMilli() >= d.expires:
		return errExpired
	}
	return nil
}

// nextDeadline returns the earliest of due, which is monotonic, and the deadlines, as a monotonic
// time.
func (d *deadlines) nextDeadline(due, now time.Time) time.Time {
	if !d.until.IsZero() && d.until.Before(due) {
		due = d.until
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
