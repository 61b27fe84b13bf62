package feed

import (
	"context"
	"errors"
	"slices"
	"time"
)

// ErrComplete ends a subscription with SubscribeOptions.UntilEnd: each of its subjects is complete, and every
// event was returned.
var ErrComplete = errors.New("all subjects are complete")

// maxLookups is how many requests for the latest events of subjects are under way at once.
const maxLookups = 32

// endState is whether a subject is complete, as of the events that a subscription has returned.
type endState uint8

const (
	endUnknown      endState = iota // the subscription has not returned its latest event
	subjectOpen                     // its latest event does not complete it, or there is none
	subjectComplete                 // its latest event completes it
)

// stateAfter is the state of a subject with a latest event.
func stateAfter(end bool) endState {
	if end {
		return subjectComplete
	}
	return subjectOpen
}

// ends tracks which subjects of a subscription are complete. Only the owner of the subscription uses it.
//
// The events that were returned decide: an event that is published after an end is returned after it, and
// opens the subject again. A subject of which no event was returned is looked up, in the window or in the
// store: its latest event lies before the start of the subscription. A gap makes all of them unknown, because
// the events that it covers may have included an end, or opened a subject again.
type ends struct {
	subjects []string // sorted
	states   []endState
	from     uint64 // every event after it was returned since the states were last unknown
	at       place  // up to which every event was returned when lookUp was set
	lookUp   bool   // the next Fetch looks up the unknown ones
}

func newEnds(subjects []string) *ends {
	return &ends{subjects: slices.Sorted(slices.Values(subjects)), states: make([]endState, len(subjects))}
}

// started records where the subscription has begun. A subscription from the first event on returns the
// latest event of each subject that has one.
func (e *ends) started(start Start, info StartInfo) {
	if e == nil {
		return
	}
	e.from = info.Position.Seq
	if start.kind == startAll && info.Gap == nil {
		e.setAll(subjectOpen)
	}
}

func (e *ends) setAll(to endState) {
	for i := range e.states {
		e.states[i] = to
	}
}

func (e *ends) set(subject string, to endState) {
	if i, found := slices.BinarySearch(e.subjects, subject); found {
		e.states[i] = to
	}
}

// returned records a Delivery.
func (e *ends) returned(d Delivery) {
	if e == nil {
		return
	}
	if d.Gap != nil {
		e.setAll(endUnknown)
		e.from = d.Gap.Continues.Seq
	}
	for _, f := range d.Frames {
		e.set(f.Subject, stateAfter(f.end))
	}
}

// notSent records that frames of the latest Delivery are dropped, to be read again: by then they may be deleted.
func (e *ends) notSent(frames []*Frame) {
	if e == nil {
		return
	}
	for _, f := range frames {
		e.set(f.Subject, endUnknown)
	}
}

// unknown returns the subjects that must be looked up.
func (e *ends) unknown() (subjects []string) {
	for i, state := range e.states {
		if state == endUnknown {
			subjects = append(subjects, e.subjects[i])
		}
	}
	return subjects
}

// pollEnds continues a Poll that returned d. Where there is nothing to return it reports ErrComplete if all
// subjects are complete, and behind if the store must be read to decide it.
func (s *Subscription) pollEnds(d Delivery) (behind bool, err error) {
	if s.ends == nil {
		return false, nil
	}
	if !d.Empty() {
		s.ends.returned(d)
		return false, nil
	}
	if s.allComplete() {
		return false, ErrComplete
	}
	return s.ends.lookUp, nil
}

// allComplete reports that every event was returned and all subjects are complete. It sets lookUp where the
// window does not have the latest event of a subject, and no other subject is known to be open.
func (s *Subscription) allComplete() bool {
	e, f := s.ends, s.feed
	e.lookUp = false
	if slices.Contains(e.states, subjectOpen) {
		return false
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	gapDue := f.window.deletions.skipped.since(s.enqueuedTo, s.announced)
	if s.state != Live || len(s.queue.frames) > 0 || s.queue.missed || gapDue || !s.same(f.incarnation) {
		return false
	}
	if s.cursor <= f.window.high { // else the tail has yet to read the latest events
		f.window.latestEnds(e)
	}
	if slices.Contains(e.states, subjectOpen) {
		return false
	}
	e.at = place{s.incarnation, max(s.cursor, f.window.high)}
	e.lookUp = slices.Contains(e.states, endUnknown)
	return !e.lookUp
}

// latestEnds sets the state of unknown subjects of which the window has an event. A later event that was not
// returned is deleted, and the window has not noticed that yet: the store decides.
func (w *window) latestEnds(e *ends) {
	for i, subject := range e.subjects {
		of := w.subjects[subject]
		if of == nil || e.states[i] != endUnknown {
			continue
		}
		if last := of.at(of.len() - 1); last.Seq <= e.from {
			e.states[i] = stateAfter(last.end)
		}
	}
}

// lookUpEnds requests the latest events of unknown subjects from the store. Another Poll decides.
func (s *Subscription) lookUpEnds(ctx context.Context) error {
	e := s.ends
	e.lookUp = false
	subjects := e.unknown()
	open, reached, err := s.feed.findOpen(ctx, e.at, subjects)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		s.feed.opts.Logger.Debug("feed: store request failed; whether subjects are complete is looked up again", "error", err)
		return s.wait(ctx, time.After(retryPause))
	case !reached: // a mirror that is behind, or a reset is about to move the subscription
		return s.wait(ctx, time.After(retryPause))
	}
	for _, subject := range subjects {
		if subject == open {
			e.set(subject, subjectOpen)
			break // those after it were not looked up
		}
		e.set(subject, subjectComplete)
	}
	return nil
}

// findOpen returns the first of subjects that is not complete at a place, as the stream's leader has it; empty
// where all of them are.
//
//   - A subject with a later event than the place is open: that event is still to be delivered.
//   - reached is false where the stream does not reach the place, or is another incarnation.
//   - It blocks until the store has answered or ctx ends.
func (f *Feed) findOpen(ctx context.Context, at place, subjects []string) (open string, reached bool, err error) {
	select {
	case f.lookups <- struct{}{}:
		defer func() { <-f.lookups }()
	case <-ctx.Done():
		return "", false, context.Cause(ctx)
	}
	reaches := func() (bool, error) {
		state, err := f.store.State(ctx)
		return err == nil && at.same(state.incarnation()) && state.LastSeq >= at.seq, err
	}
	if reached, err = reaches(); err != nil || !reached {
		return "", false, err
	}
	for _, subject := range subjects {
		last, found, err := f.store.Last(ctx, subject)
		if err != nil {
			return "", false, err
		}
		if !found || !last.End || last.Seq > at.seq {
			open = subject
			break
		}
	}
	reached, err = reaches() // the events are of this incarnation
	return open, reached, err
}

// TryComplete reports whether a start lies at or after the ends of all subjects. A client that resumes there has
// received everything. known is false where Complete must request the answer from the store.
func (f *Feed) TryComplete(subjects []string, start Start) (complete, known bool) {
	if !f.isReady() {
		return false, false
	}
	f.expireDue()
	f.mu.RLock()
	defer f.mu.RUnlock()
	start = start.choose(f.epoch)
	if start.kind != startResume {
		return false, true
	}
	at := placeNamed(start.position, f.viewLocked())
	switch {
	case !at.same(f.incarnation), at.seq > f.window.high:
		return false, false
	case f.reused.contains(at.seq): // it may have received other events
		return false, true
	}
	known = true
	for _, subject := range subjects {
		of := f.window.subjects[subject]
		if of == nil {
			known = false
			continue
		}
		if last := of.at(of.len() - 1); !last.end || last.Seq > at.seq {
			return false, true
		}
	}
	return known, known
}

// Complete is TryComplete with the answer of the store. It blocks until the store has answered or ctx ends.
func (f *Feed) Complete(ctx context.Context, subjects []string, start Start) (bool, error) {
	select {
	case <-f.ready:
	case <-f.done:
		return false, ErrClosed
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	if complete, known := f.TryComplete(subjects, start); known {
		return complete, nil
	}
	f.mu.RLock()
	at := placeNamed(start.choose(f.epoch).position, f.viewLocked())
	f.mu.RUnlock()
	open, reached, err := f.findOpen(ctx, at, subjects)
	return err == nil && reached && open == "", err
}
