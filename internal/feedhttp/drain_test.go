package feedhttp

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// The sessions have no engine.
func TestDrain_ManyOrFew_SpreadsTheDeadlines(t *testing.T) {
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
				h.register(s, func() {}, nil)
				sessions = append(sessions, s)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			start := time.Now()
			if err := h.Drain(ctx, tt.period); !errors.Is(err, context.Canceled) {
				t.Fatalf("Drain: %v", err)
			}
			slices.SortFunc(sessions, func(a, b *session) int { return a.deadlines.at.Compare(b.deadlines.at) })
			first := sessions[0].deadlines.at
			if first.Before(start) || first.After(time.Now()) {
				t.Errorf("the first leaves %v after Drain", first.Sub(start))
			}
			for i, s := range sessions {
				if want := tt.want * time.Duration(i) / time.Duration(tt.streams); s.deadlines.at.Sub(first) != want || !errors.Is(s.deadlines.err, errDrain) {
					t.Fatalf("stream %d leaves %v after the first (%v), want %v", i, s.deadlines.at.Sub(first), s.deadlines.err, want)
				}
			}
			late := &session{handler: h}
			h.register(late, func() {}, nil)
			if !errors.Is(late.closeErr, errDrain) {
				t.Errorf("a late comer: %v", late.closeErr)
			}
			for _, s := range sessions {
				s.release()
			}
		})
	}
}

func TestDrain_EarlierDeadline_KeepsItsReason(t *testing.T) {
	h := NewSubscribe(SubscribeOptions{})
	at := time.Now().Add(-time.Second)
	s := &session{handler: h, deadlines: deadlines{at: at, err: errMaxAge}}
	h.register(s, func() {}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = h.Drain(ctx, time.Hour)
	if !s.deadlines.at.Equal(at) || !errors.Is(s.deadlines.err, errMaxAge) {
		t.Errorf("it ends at %v with %v", s.deadlines.at, s.deadlines.err)
	}
	s.release()
}
