package engine

import "errors"

// state names the wait of a connection, and with it the goroutine that has the connection.
type state uint8

const (
	stateAccepted  state = iota // the acceptor reads the available bytes
	stateHello                  // the loop waits for the whole ClientHello
	stateHandshake              // the handshake waits for its slot, or runs; the loop passes on events
	stateRequest                // the loop waits for the head of a request
	stateHandler                // a goroutine runs the handler of a request
	stateWriting                // the loop calls the source when it is woken
	stateBlocked                // the socket accepts no bytes; the loop waits for epoll
	stateStalled                // the same, and the source was notified
	statePassed                 // net/http has the socket
	stateClosed
	states
)

// moves lists the states that may follow each state; see the table of the package documentation.
var moves = [states][]state{
	stateAccepted:  {stateHello, stateRequest, stateHandler, statePassed, stateClosed},
	stateHello:     {stateHandshake, stateClosed},
	stateHandshake: {stateRequest, statePassed, stateClosed},
	stateRequest:   {stateHandler, statePassed, stateClosed},
	stateHandler:   {stateWriting, statePassed, stateClosed},
	stateWriting:   {stateBlocked, stateRequest, stateClosed},
	stateBlocked:   {stateWriting, stateStalled, stateRequest, stateClosed},
	stateStalled:   {stateWriting, stateRequest, stateClosed},
	statePassed:    {stateHandler},
}

// waitsForSocket reports whether the socket has unsent bytes that it does not accept.
func (s state) waitsForSocket() bool { return s == stateBlocked || s == stateStalled }

// onMove observes the moves of all connections in tests.
var onMove func(from, to state)

// move is the only place where the state of a connection changes.
func (c *conn) move(to state) {
	if onMove != nil {
		onMove(c.state, to)
	}
	c.state = to
}

// errSilent ends a connection whose client has not sent a request in time. No source is notified of it.
var errSilent = errors.New("no request in time")
