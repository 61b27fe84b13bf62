package feed

import "fmt"

func init() {
	reportTransition = func(s *Subscription, to SubscriptionState) {
		panic(fmt.Sprintf("transition from %s to %s", s.state, to))
	}
}

// WindowSeqs returns the sequences of the frames in the window, and where it begins.
func (f *Feed) WindowSeqs() (low uint64, seqs []uint64) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for i := range f.window.frames.len() {
		seqs = append(seqs, f.window.frames.at(i).Seq)
	}
	return f.window.low, seqs
}
