package feed

import "github.com/nats-io/nats-server/v2/server/gsl"

// index finds the live subscriptions that an event matches. A subscription is found once
// for each of its filters that match.
//
// It wraps nats-server's generic subject list, which imports the standard library alone but
// promises no stable API; this file is all that would change.
type index struct {
	list *gsl.GenericSublist[*Subscription]
}

func newIndex() index { return index{gsl.NewSublist[*Subscription]()} }

// everything is the filters of a subscription that has none.
var everything = []string{">"}

// add and remove cannot fail: filters were checked by Subscribe.
func (x index) add(s *Subscription) {
	for _, filter := range x.filters(s) {
		_ = x.list.Insert(filter, s)
	}
}

func (x index) remove(s *Subscription) {
	for _, filter := range x.filters(s) {
		_ = x.list.Remove(filter, s)
	}
}

func (x index) filters(s *Subscription) []string {
	if len(s.filters) == 0 {
		return everything
	}
	return s.filters
}

func (x index) match(subject string, found func(*Subscription)) {
	x.list.Match(subject, found)
}
