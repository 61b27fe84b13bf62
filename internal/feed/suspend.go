package feed

// Suspend gives back the reader and the bytes of a replay for a client without progress.
//
//   - unsent are the frames of the latest Delivery that the caller has not sent. Where Suspend returns
//     true, the caller drops them: the next Poll and Fetch read them again.
//   - A subscription that is not replaying keeps its pending events, which Options.MaxPending bounds.
//   - Only the owner calls it. It does not block.
func (s *Subscription) Suspend(unsent []*Frame) (suspended bool) {
	if s.replay.share == nil {
		return false
	}
	s.mu.Lock()
	if s.state != Replaying && s.state != CatchingUp {
		s.mu.Unlock()
		s.replay.close() // it continues elsewhere, behind a gap that comes after these frames
		return false
	}
	s.ends.notSent(unsent)
	if len(unsent) > 0 {
		s.cursor = unsent[0].Seq - 1
		s.enqueuedTo = s.cursor
	}
	s.mu.Unlock()
	s.suspendReplay()
	s.feed.opts.Replays.countSuspended()
	return true
}

// suspendReplay closes the reader. A replay of the latest event of each subject is opened again as
// such, up to the same end; any other continues at the cursor.
func (s *Subscription) suspendReplay() {
	r := &s.replay
	if r.reader != nil {
		r.reader.suspended = true
	}
	s.mu.Lock()
	s.endReplayLocked()
	if r.last && s.state == CatchingUp {
		r.suspendedTo = r.to
		s.setStateLocked(Suspended)
	}
	s.mu.Unlock()
	r.release()
}
