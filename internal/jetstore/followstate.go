package jetstore

import (
	"fmt"
	"time"
)

// followState is the state of a follower. The package documentation has the transitions.
type followState uint8

const (
	followStarting   followState = iota // the stream was not reached yet, and a consumer is created
	followConnecting                    // a consumer is created at the next sequence
	followDirect                        // without a consumer, the leader is read message by message
	followWaiting                       // the consumer has delivered nothing yet, nor a heartbeat
	followDelivering
	followEnded
	followStates
)

var followStateNames = [followStates]string{"starting", "connecting", "direct", "waiting", "delivering", "ended"}

func (s followState) String() string { return followStateNames[s] }

// followTransitions has the states that may follow each state.
var followTransitions = [followStates][]followState{
	followStarting:   {followWaiting, followEnded},
	followConnecting: {followWaiting, followDirect, followEnded},
	followDirect:     {followConnecting, followEnded},
	followWaiting:    {followDelivering, followConnecting, followEnded},
	followDelivering: {followConnecting, followEnded},
}

// move changes the state. A transition that is not in the table is a bug of the follower.
func (f *follower) move(to followState) {
	if !allowed(followTransitions[f.state], to) {
		panic(fmt.Sprintf("jetstore: a follower cannot become %s after %s", to, f.state))
	}
	f.state = to
	switch to {
	case followWaiting:
		f.shorter = shorter{}
		f.lag.requested, f.lag.answered = time.Now(), time.Time{}
	case followDelivering:
		f.silent = 0
	}
}
