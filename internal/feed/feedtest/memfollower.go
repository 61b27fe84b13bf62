package feedtest

import (
	"context"
	"iter"
	"slices"

	"github.com/tidemark/tidemark/internal/feed"
)

// Follow implements feed.Store.
func (l *MemStore) Follow(ctx context.Context, opts feed.FollowOptions) iter.Seq2[feed.Event, error] {
	return func(yield func(feed.Event, error) bool) {
		f := &memFollower{store: l, opts: opts, next: opts.From, ends: -1}
		for {
			events, changed, err := f.poll(ctx)
			if err != nil {
				yield(feed.Event{}, err)
				return
			}
			for _, ev := range events {
				if !yield(ev, nil) {
					return
				}
				f.next = ev.Seq + 1
			}
			if len(events) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				yield(feed.Event{}, context.Cause(ctx))
				return
			}
		}
	}
}

// memFollower is one Follow under way.
type memFollower struct {
	store *MemStore
	opts  feed.FollowOptions
	next  uint64
	ends  int // how many of MemStore.floors were seen; -1 before the first look
}

// poll returns the stored events from next on, or how the sequences up to the end were lost.
func (f *memFollower) poll(ctx context.Context) (events []feed.Event, changed <-chan struct{}, err error) {
	l := f.store
	if err := l.reachTold(ctx, f.opts); err != nil {
		return nil, nil, err
	}
	defer l.mu.Unlock()
	if l.removed {
		if f.opts.Contact != nil {
			f.opts.Contact(feed.ErrNoStream)
		}
		return nil, l.changed, nil
	}
	state := l.stateLocked()
	if loss := f.lossLocked(state); loss != nil {
		return nil, nil, loss
	}
	i, _ := slices.BinarySearchFunc(l.events, f.next, func(ev feed.Event, seq uint64) int {
		if ev.Seq < seq {
			return -1
		}
		return 1
	})
	events = slices.Clone(l.events[i:])
	if len(events) == 0 && f.next <= state.LastSeq {
		events = []feed.Event{{Seq: state.LastSeq, Deleted: true}}
	}
	return events, l.changed, nil
}

func (f *memFollower) lossLocked(state feed.State) error {
	loss := &feed.LossError{From: f.next, State: state}
	if state.Epoch != f.opts.Epoch || f.opts.Created != 0 && state.Created != 0 && state.Created != f.opts.Created {
		loss.Reason = feed.NewEpoch
		return loss
	}
	loss.Kept = f.keptLocked()
	loss.Reused = loss.Kept < f.next-1
	switch {
	case state.LastSeq+1 < f.next:
		loss.Reason = feed.Future
	case state.FirstSeq > f.next:
		loss.Reason = feed.Trimmed
	case loss.Reused:
		loss.Reason = feed.Possible
	default:
		return nil
	}
	return loss
}

// keptLocked returns the last sequence that was read and is the same as then.
func (f *memFollower) keptLocked() uint64 {
	kept, ends := f.next-1, f.store.floors
	if f.ends < 0 && (f.store.last < kept || f.store.replacedLocked(f.opts.Read)) {
		return 0
	}
	if f.ends >= 0 && f.ends < len(ends) {
		kept = min(kept, slices.Min(ends[f.ends:]))
	}
	if kept == f.next-1 {
		f.ends = len(ends) // the lost events had not been read
	}
	return kept
}

// replacedLocked reports that another event has replaced the event that was read.
func (l *MemStore) replacedLocked(read feed.Mark) bool {
	return slices.ContainsFunc(l.events, func(ev feed.Event) bool {
		return ev.Seq == read.Seq && !ev.Time.Equal(read.Time)
	})
}

func (l *MemStore) reachTold(ctx context.Context, opts feed.FollowOptions) error {
	tell := opts.Contact
	if tell == nil {
		tell = func(error) {}
	}
	l.mu.Lock()
	down := l.down
	l.mu.Unlock()
	tell(down)
	if err := l.reach(ctx); err != nil {
		return err
	}
	if down != nil {
		l.mu.Unlock()
		tell(nil)
		return l.reach(ctx)
	}
	return nil
}
