package engine

// HandshakeStatus contains the counts of the TLS handshakes of an engine.
type HandshakeStatus struct {
	Running, Waiting                int    // now
	Full, Resumed, Failed, Rejected uint64 // rejected because too many were waiting
}

// Ended returns the number of ended handshakes.
func (s HandshakeStatus) Ended() uint64 { return s.Full + s.Resumed + s.Failed + s.Rejected }
