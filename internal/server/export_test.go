package server

import "time"

// Served returns the paths of http.addr in the syntax of Echo.
func (s *Server) Served() []string { return s.main.served }

// SetDrainDelay changes HTTPOptions.DrainDelay of a running node.
func (s *Server) SetDrainDelay(d time.Duration) {
	s.drain.mu.Lock()
	defer s.drain.mu.Unlock()
	s.drain.delay = d
}

// HasEngine reports whether the node has started an engine.
func (s *Server) HasEngine() bool { return s.clients.engine != nil }

// BreakAdmin makes the admin listener fail.
func (s *Server) BreakAdmin() { _ = s.admin.Close() }
