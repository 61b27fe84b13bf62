package feed

import (
	"sync/atomic"
	"time"
)

// undeliverableEvery is the least time between two log lines about undeliverable messages.
const undeliverableEvery = time.Minute

// undeliverable counts stored messages that no client can receive. The count is read by any
// goroutine, the rest belongs to the tail.
type undeliverable struct {
	count  atomic.Uint64
	logged uint64 // of count
	next   time.Time
}

// checkDeliverable counts an event that matched no subscription, if none could match it. Events
// stored before the feed was ready are not counted: they would be counted again at each start. The
// check costs nothing for an event that matched.
func (f *Feed) checkDeliverable(ev Event) {
	if f.opts.Deliverable == nil || f.opts.Deliverable(ev.Subject) || !f.isReady() {
		return
	}
	u := &f.undeliverable
	n := u.count.Add(1)
	now := time.Now()
	if f.opts.QuietUndeliverable || now.Before(u.next) {
		return
	}
	f.opts.Logger.Warn("feed: no feed can deliver a message; clients never receive it", "messages", n-u.logged, "subject", ev.Subject, "seq", ev.Seq,
		"remedy", "check the publisher's subjects, and that values such as user ids are encoded as one token (tidemark subject --user ID)")
	u.logged, u.next = n, now.Add(undeliverableEvery)
}
