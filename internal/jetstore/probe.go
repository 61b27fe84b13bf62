package jetstore

import (
	"errors"
	"time"
)

var errStale = errors.New("the consumer has nothing, and the leader had more a while ago")

// probePause is how often the tail is compared with the stream's leader, and so how far a
// consumer's replica may be late before another is tried. maxPatience bounds how rarely a tail
// moves where it finds none that is better.
const (
	probePause  = time.Second
	maxPatience = 32 * time.Second
)

// probe compares a tail with its stream's leader. A consumer sits on one replica, which may be
// late or cut off: it then says that nothing is pending, sends its heartbeats, and answers what
// it is asked. Nobody else would notice.
type probe struct {
	asked    time.Time // when the leader was asked
	heard    time.Time // when its answer was read
	last     uint64    // what it had then, if told
	told     bool
	deleted  bool          // the stream had deleted messages then; see endMayBeDeleted
	patience time.Duration // how late the consumer may be
}

// compare is told of everything that comes. The leader's answer comes the same way, so that a
// leader that is silent holds up nothing.
func (f *follower) compare(d delivery) error {
	p := &f.probe
	now := time.Now()
	switch {
	case d.kind == leader:
		p.told, p.last, p.heard, p.deleted = true, d.state.LastSeq, now, d.state.Deleted > 0
		if f.foreign(d.state) { // a new consumer finds out
			return errors.New("the stream is another incarnation")
		}
	case p.told && f.next > p.last:
		p.told, p.patience = false, probePause
	case p.told && d.level() && f.pull.waiting() && now.Sub(p.heard) > p.patience:
		p.told, p.patience = false, min(2*p.patience, maxPatience)
		f.failures = 0
		f.logStale(now.Sub(p.heard))
		return errStale
	}
	if p.told || now.Sub(p.asked) < probePause {
		return nil
	}
	p.asked = now
	return f.pull.probe()
}

func (f *follower) logStale(late time.Duration) {
	l := f.log
	if n, ok := l.lates.allow(); ok {
		l.opts.Logger.Warn("the replica that the tail reads is behind the stream's leader; another is tried",
			"at", f.next-1, "leader", f.probe.last, "late", late.String(), "times", n)
	}
}
