package feedhttp

// state is the phase of a session. The package documentation has the table of transitions, and
// moveLocked is the one function that changes it.
type state uint8

const (
	stateNew        state = iota // the request is read; the engine has not started the session
	stateConnecting              // a goroutine waits for the subscription
	stateCatchingUp              // events are read from the store
	stateLive                    // events come from the window of the feed
	stateClosing                 // the next turn writes the close event, for closeErr
	stateClosed                  // the engine has reported the end, for closeErr
	states
)

func (s state) String() string {
	return [states]string{"new", "connecting", "catching up", "live", "closing", "closed"}[s]
}

// transitions has the states that may follow each state, as bits.
var transitions = [states]uint8{
	stateNew:        1<<stateConnecting | 1<<stateLive | 1<<stateClosing | 1<<stateClosed,
	stateConnecting: 1<<stateCatchingUp | 1<<stateClosing | 1<<stateClosed,
	stateCatchingUp: 1<<stateLive | 1<<stateClosing | 1<<stateClosed,
	stateLive:       1<<stateCatchingUp | 1<<stateClosing | 1<<stateClosed,
	stateClosing:    1 << stateClosed,
}

// moveLocked moves the session to a state, and reports whether it did. It changes nothing in two cases:
//
//   - The table does not have the transition. For example, a session that is closing can be revoked.
//   - The session would connect, and Limits.Replays leaves no room for its replay.
func (s *session) moveLocked(to state) bool {
	if transitions[s.state]&(1<<to) == 0 {
		return false
	}
	switch to {
	case stateConnecting:
		if !s.handler.opts.Admission.admitReplay() {
			return false
		}
		s.replay = newReplay(s)
	case stateCatchingUp:
		if s.state == stateLive { // limits reject new connections, not those that fall behind
			s.handler.opts.Admission.replays.Add(1)
			s.replay = newReplay(s)
		}
	case stateLive:
		s.endReplayLocked()
	}
	s.state = to
	return true
}

// closeLocked makes the next turn end the connection for err. The first reason stays, and nil changes
// nothing.
func (s *session) closeLocked(err error) {
	if err != nil && s.moveLocked(stateClosing) {
		s.closeErr = err
	}
}
