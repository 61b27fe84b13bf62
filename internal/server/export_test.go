package server

import "time"

// Served are the paths of http.addr, as Echo has them.
func (s *Server) Served() []string { return s.main.served }

// SetDrainDelay changes HTTPOptions.DrainDelay of a node that runs.
func (s *Server) SetDrainDelay(d time.Duration) {
	s.drain.mu.Lock()
	defer s.drain.mu.Unlock()
	s.drain.delay = d
}

// BreakAdmin makes the listener of operators fail.
func (s *Server) BreakAdmin() { _ = s.admin.Close() }
