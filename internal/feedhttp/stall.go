package feedhttp

// replayRoom is how much of a replay is handed to the engine at a time, and so about what a client that
// does not read leaves there: the rest of one write, which ends with a whole event.
const replayRoom = 16 << 10

// Stalled implements engine.Holder. A replay gives back what it holds; events that are live are bounded
// by the feed.
func (s *session) Stalled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled = true
	if !s.asking {
		s.suspendLocked()
	}
}

// suspendLocked drops what was read for a client that does not read. It is read again, from the first
// event that was not sent, when the engine asks for more.
func (s *session) suspendLocked() {
	if s.sub != nil && s.sub.Suspend(s.left.Frames) {
		s.left.Frames = nil
	}
}
