package feed

import "sync"

// The stream is compared with all positions beyond its end once each pollPause. Events take a moment
// from an origin to its mirror, and the origin reports each second that there are no more. So a
// position counts as missing in the origin only after mirrorWaitPolls, of which the last
// caughtUpPolls found the mirror caught up.
const (
	mirrorWaitPolls = 5
	caughtUpPolls   = 3
)

// mirrorWait has the subscriptions whose clients have more than a mirror holds yet: they read the
// origin before, or a mirror that is faster. They are live and wait for the events after their
// position. Only an origin that ends below it makes that a gap; and a mirror that becomes a stream of
// its own, because it then gives the sequences between to other events.
type mirrorWait struct {
	mu   sync.Mutex
	subs map[*Subscription]*mirrorWaiter
}

type mirrorWaiter struct {
	at              Position
	polls, caughtUp int
}

func (m *mirrorWait) add(s *Subscription, at Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.subs[s]; w != nil && w.at == at {
		return
	}
	if m.subs == nil {
		m.subs = map[*Subscription]*mirrorWaiter{}
	}
	m.subs[s] = &mirrorWaiter{at: at}
}

func (m *mirrorWait) remove(s *Subscription) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.subs, s)
}

// poll removes the subscriptions that the stream has reached, and those whose position it does not
// have, which it returns.
func (m *mirrorWait) poll(state State) (beyond []*Subscription) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for s, w := range m.subs {
		w.polls++
		w.caughtUp++
		if state.Copy != CopyCaughtUp {
			w.caughtUp = 0
		}
		switch {
		case state.Copy == Original, w.polls >= mirrorWaitPolls && w.caughtUp >= caughtUpPolls && w.at.Seq > state.LastSeq:
			if s.State() != Starting { // the next poll moves it then
				beyond = append(beyond, s)
				delete(m.subs, s)
			}
		case w.at.Seq <= state.LastSeq:
			delete(m.subs, s)
		}
	}
	return beyond
}

// pollMirrorWait announces a gap to the subscriptions whose position lies beyond the end of the stream.
func (f *Feed) pollMirrorWait(state State) {
	for _, s := range f.mirrorWait.poll(state) {
		f.mu.Lock()
		s.mu.Lock()
		if s.state != Closed && s.state != Resyncing && s.epoch == state.Epoch { // else another gap covers it
			at := place{incarnation{s.epoch, state.Created}, s.cursor}
			gap := newGap(Future, at.position().String(), state, max(state.LastSeq, f.window.high))
			s.resyncLocked(gap, at)
			s.wakeLocked()
		}
		s.mu.Unlock()
		f.mu.Unlock()
	}
}
