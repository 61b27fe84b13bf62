package jetstore

import (
	"errors"
	"time"
)

var (
	errStale            = errors.New("the consumer has nothing, and the leader had more a while ago")
	errOtherIncarnation = errors.New("the stream is another incarnation")
)

// lagInterval is the interval at which the tail is compared with the stream's leader. It is also the lag after
// which another replica is tried. Where no replica is better, the allowed lag doubles up to maxAllowedLag, so
// that the tail does not change its replica each second.
const (
	lagInterval   = time.Second
	maxAllowedLag = 32 * time.Second
)

// lagCheck compares a tail with its stream's leader. A consumer sits on one replica, which may be
// late or cut off: it then reports that nothing is pending, sends its heartbeats, and answers requests.
// Nothing else would notice.
type lagCheck struct {
	requested time.Time     // when the leader's state was requested
	answered  time.Time     // when its answer was read; zero while there is none to compare with
	last      uint64        // the end of the stream in the answer
	deleted   bool          // the stream had deleted messages in the answer; see endMayBeDeleted
	allowed   time.Duration // how late the consumer may be
}

// checkLag runs after each delivery. The leader's answer comes as a delivery, so that a leader that is
// silent delays nothing.
func (f *follower) checkLag(d delivery) error {
	l := &f.lag
	now := time.Now()
	compared := !l.answered.IsZero()
	switch {
	case d.kind == leaderState:
		compared = true
		l.answered, l.last, l.deleted = now, d.state.LastSeq, d.state.Deleted > 0
		if f.otherIncarnation(d.state) { // a new consumer finds out more
			return errOtherIncarnation
		}
	case compared && f.next > l.last:
		compared, l.answered, l.allowed = false, time.Time{}, lagInterval
	case compared && d.drained() && f.pull.waiting() && now.Sub(l.answered) > l.allowed:
		late := now.Sub(l.answered)
		l.answered, l.allowed = time.Time{}, min(2*l.allowed, maxAllowedLag)
		f.failures = 0
		if n, ok := f.store.lagLog.allow(); ok {
			f.store.opts.Logger.Warn("jetstream: replica of the tail is behind the stream's leader; trying another",
				"at", f.next-1, "leader", l.last, "late", late.String(), "times", n)
		}
		return errStale
	}
	if compared || now.Sub(l.requested) < lagInterval {
		return nil
	}
	l.requested = now
	return f.pull.requestLeaderState()
}
