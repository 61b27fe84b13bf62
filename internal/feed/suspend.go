package feed

// Suspend gives back what a replay holds while its client does not read: events that were requested
// or read, their bytes of the budget, and the reader. unsent are the frames of the latest Delivery
// that the caller has not sent. If it returns true, the caller drops them: they are read again, as
// the next Poll and Fetch continue in front of them. A subscription that is not replaying keeps what
// it has, which is bounded by Options.MaxPending.
//
// The caller is the one of Poll and Fetch. Suspend does not block.
func (s *Subscription) Suspend(unsent []*Frame) (suspended bool) {
	r := &s.replay
	if r.share == nil {
		return false
	}
	if !s.rewind(unsent) {
		r.close()
		return false
	}
	r.suspend()
	s.feed.opts.Replays.countSuspended()
	return true
}

// rewind moves the cursor in front of frames that were not sent. It reports false where the
// subscription continues elsewhere: behind a gap that was announced for after these frames.
func (s *Subscription) rewind(unsent []*Frame) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jump != nil || s.closed || s.live {
		return false
	}
	if len(unsent) > 0 {
		s.cursor = unsent[0].Seq - 1
		s.offered = s.cursor
	}
	return true
}

// suspend closes the reader, and remembers that the latest event of each subject was read.
func (r *replay) suspend() {
	if r.last {
		r.lastTo = r.to
	}
	if r.reader != nil {
		r.reader.suspended = true
	}
	r.close()
	r.release()
}
