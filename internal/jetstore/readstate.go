package jetstore

import "fmt"

// readState is the state of a reader. The package documentation has the transitions.
type readState uint8

const (
	readDetached readState = iota // it has no consumer, and creates one after the cursor
	readPulling                   // its consumer may deliver more
	readDrained                   // its consumer has nothing more; the leader has to confirm that
	readComplete                  // all events were read; the state of the stream is still unknown
	readFinished                  // all events were read, and final is the state of the stream
	readClosed
	readStates
)

var readStateNames = [readStates]string{"detached", "pulling", "drained", "complete", "finished", "closed"}

func (s readState) String() string { return readStateNames[s] }

// readTransitions has the states that may follow each state.
var readTransitions = [readStates][]readState{
	readDetached: {readPulling, readDrained, readClosed},
	readPulling:  {readDrained, readComplete, readDetached, readClosed},
	readDrained:  {readPulling, readComplete, readDetached, readClosed},
	readComplete: {readFinished, readDetached, readClosed},
	readFinished: {readClosed},
}

// move changes the state. A consumer exists in the states pulling, drained and complete only: entering
// another one deletes it. A transition that is not in the table is a bug of the reader.
func (r *reader) move(to readState) {
	if !allowed(readTransitions[r.state], to) {
		panic(fmt.Sprintf("jetstore: a reader cannot become %s after %s", to, r.state))
	}
	r.state = to
	if r.pull == nil { // there was nothing to read
		return
	}
	switch to {
	case readDetached, readFinished:
		r.pull.drop()
	case readClosed:
		r.pull.close()
	}
}

func allowed[S comparable](next []S, to S) bool {
	for _, s := range next {
		if s == to {
			return true
		}
	}
	return false
}
