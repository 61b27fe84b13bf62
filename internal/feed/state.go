package feed

import "slices"

// SubscriptionState is the state of a subscription. The package documentation has the transitions.
type SubscriptionState uint8

const (
	// Starting: Subscribe decides where delivery begins. Only Subscribe changes the subscription.
	Starting SubscriptionState = iota
	// CatchingUp: Poll returns pending frames, then those of the window behind the cursor.
	CatchingUp
	// Replaying: a reader of the store is open; Fetch returns its events.
	Replaying
	// Suspended: a replay of the latest event of each subject was interrupted; Fetch opens it again.
	Suspended
	// Live: the subscription is in the index; Feed.publish enqueues matching frames.
	Live
	// Resyncing: Poll returns pending frames, then moves the cursor to Subscription.resync.
	Resyncing
	// Closed is final.
	Closed
	subscriptionStates
)

var stateNames = [subscriptionStates]string{
	"starting", "catching up", "replaying", "suspended", "live", "resyncing", "closed",
}

func (s SubscriptionState) String() string { return stateNames[s] }

// transitions has the states that may follow each.
var transitions = [subscriptionStates][]SubscriptionState{
	Starting:   {CatchingUp, Replaying, Closed},
	CatchingUp: {Live, Replaying, Suspended, Resyncing, Closed},
	Replaying:  {CatchingUp, Suspended, Resyncing, Closed},
	Suspended:  {CatchingUp, Replaying, Resyncing, Closed},
	Live:       {CatchingUp, Resyncing, Closed},
	Resyncing:  {CatchingUp, Closed},
	Closed:     {},
}

// reportTransition is called for a transition that the table does not have. Tests panic there.
var reportTransition = func(s *Subscription, to SubscriptionState) {
	s.feed.opts.Logger.Error("feed: subscription changed state unexpectedly; please report this",
		"from", s.state.String(), "to", to.String())
}

// setStateLocked is the only function that changes the state. It keeps the rest in
// step: a subscription is in the index in the state Live alone, and has a resync in Resyncing alone.
//
// Close removes it from the index itself, when nothing is locked any more.
func (s *Subscription) setStateLocked(to SubscriptionState) {
	from := s.state
	if from == to {
		return
	}
	if !slices.Contains(transitions[from], to) {
		reportTransition(s, to)
	}
	s.state = to
	switch {
	case to == Live:
		s.feed.index.add(s)
	case from == Live && to != Closed:
		s.feed.index.remove(s)
	}
	if to != Resyncing {
		s.resync = nil
	}
}
