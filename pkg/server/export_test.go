package server

// Served are the paths of http.addr, as Echo has them.
func (s *Server) Served() []string { return s.served }
