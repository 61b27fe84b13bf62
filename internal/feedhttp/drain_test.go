package feedhttp

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// TestDrainSpreads looks at when streams leave: evenly, over the period, or faster where there
// are few. The streams are bare sessions that nobody writes.
func TestDrainSpreads(t *testing.T) {
	for name, tt := range map[string]struct {
		streams      int
		period, want time.Duration
	}{
		"over the period": {400, time.Second, time.Second},
		"few, faster":     {20, time.Hour, 100 * time.Millisecond},
		"all at once":     {400, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := NewSubscribe(SubscribeOptions{})
			var sessions []*session
			for range tt.streams {
				s := &session{handler: h}
				h.enter(s, func() {})
				sessions = append(sessions, s)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			start := time.Now()
			if err := h.Drain(ctx, tt.period); !errors.Is(err, context.Canceled) {
				t.Fatalf("Drain: %v", err)
			}
			slices.SortFunc(sessions, func(a, b *session) int { return a.until.Compare(b.until) })
			first := sessions[0].until
			if first.Before(start) || first.After(time.Now()) {
				t.Errorf("the first leaves %v after Drain", first.Sub(start))
			}
			for i, s := range sessions {
				if want := tt.want * time.Duration(i) / time.Duration(tt.streams); s.until.Sub(first) != want || !errors.Is(s.over, errDrain) {
					t.Fatalf("stream %d leaves %v after the first (%v), want %v", i, s.until.Sub(first), s.over, want)
				}
			}
			late := &session{handler: h}
			h.enter(late, func() {})
			if !errors.Is(late.failed, errDrain) {
				t.Errorf("a late comer: %v", late.failed)
			}
			for _, s := range sessions {
				s.leave()
			}
		})
	}
}

// TestDrainEndsNothingLater: what ends before its turn keeps its own reason.
func TestDrainEndsNothingLater(t *testing.T) {
	h := NewSubscribe(SubscribeOptions{})
	at := time.Now().Add(-time.Second)
	s := &session{handler: h, deadlines: deadlines{until: at, over: errMaxAge}}
	h.enter(s, func() {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = h.Drain(ctx, time.Hour)
	if !s.until.Equal(at) || !errors.Is(s.over, errMaxAge) {
		t.Errorf("it ends at %v with %v", s.until, s.over)
	}
	s.leave()
}
