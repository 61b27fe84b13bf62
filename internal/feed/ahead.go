package feed

import "sync"

// The stream is looked at each pollPause on behalf of all who are ahead of it. Events take a moment from an origin to its copy, and the copy hears each second that
// there is no more; so only aheadLooks looks after it was named, and levelLooks in a row at a
// copy that is level, does a position count as one that the origin does not have.
const (
	aheadLooks = 5
	levelLooks = 3
)

// ahead knows the subscriptions whose clients have more than a copy of the stream holds yet:
// they read the origin, or a copy that is faster. They are live and wait for what comes
// after their position. Only an origin that ends below it makes that a gap; and a copy that
// becomes a stream of its own, because it then gives the numbers between to other events.
type ahead struct {
	mu   sync.Mutex
	subs map[*Subscription]*aheadOf
}

type aheadOf struct {
	at           Position
	looks, level int
}

func (a *ahead) add(s *Subscription, at Position) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if of := a.subs[s]; of != nil && of.at == at {
		return
	}
	if a.subs == nil {
		a.subs = map[*Subscription]*aheadOf{}
	}
	a.subs[s] = &aheadOf{at: at}
}

func (a *ahead) remove(s *Subscription) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.subs, s)
}

// look drops who is no longer ahead of state, and returns those for whom there is a gap.
// Whoever was overtaken is dropped at a look that finds a copy still: all up to there was copied.
func (a *ahead) look(state State) (beyond []*Subscription) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for s, of := range a.subs {
		of.looks++
		of.level++
		if state.Copy != CopyCaughtUp {
			of.level = 0
		}
		switch {
		case state.Copy == Original, of.looks >= aheadLooks && of.level >= levelLooks && of.at.Seq > state.LastSeq:
			beyond = append(beyond, s)
			delete(a.subs, s)
		case of.at.Seq <= state.LastSeq:
			delete(a.subs, s)
		}
	}
	return beyond
}

// lookAhead compares those who are ahead with the stream.
func (f *Feed) lookAhead(state State) {
	for _, s := range f.ahead.look(state) {
		f.beyond(s, state)
	}
}

// beyond tells a subscription that its position lies beyond the end of the stream.
func (f *Feed) beyond(s *Subscription, state State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.jump != nil || s.epoch != state.Epoch {
		return // it is told otherwise
	}
	at := Position{s.cursor, s.epoch}
	gap := newGap(Future, at.String(), state, max(state.LastSeq, f.window.high))
	if s.jumpLocked(gap, at, state.Created) {
		f.index.remove(s)
	}
	s.signal()
}
