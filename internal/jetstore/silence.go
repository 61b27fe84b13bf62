package jetstore

// silence counts the consumers in a row from which the tail received nothing: neither an event
// nor a heartbeat. Each could be created, so that the stream's leader answers, but none delivers:
// their pull requests are refused, or they are deleted or go silent at once. The first ones are
// replaced without notice, as a server that stops gives several of them.
type silence struct {
	consumers int
	alive     bool // the present consumer has delivered
	reported  bool // FollowOptions.Contact has the outage
}

// maxSilent consumers in a row are an outage.
const maxSilent = 3

// connected reports contact when the consumer was created. After an outage of this kind the
// first sign of life does.
func (f *follower) connected() {
	if !f.silent.reported {
		f.contact(nil)
	}
}

// heard ends the silence with whatever shows that the consumer delivers.
func (f *follower) heard(d delivery) {
	switch d.kind {
	case delivered, idle, expired:
		if f.silent.reported {
			f.contact(nil)
		}
		f.silent = silence{alive: true}
	}
}

// abandoned records that a consumer is replaced because of err.
func (f *follower) abandoned(err error) {
	if f.silent.alive {
		f.silent = silence{}
		return
	}
	f.silent.consumers++
	if f.silent.consumers >= maxSilent {
		f.silent.reported = true
		f.log.logRetry(err)
		f.contact(err)
	}
}
