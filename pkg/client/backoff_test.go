package client

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func lowest(lo, _ int64) int64  { return lo }
func highest(_, hi int64) int64 { return hi }

func TestBackoff(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name    string
		between func(lo, hi int64) int64
		asked   []time.Duration
		want    []time.Duration
	}{
		{"luck keeps it at the floor", lowest, []time.Duration{0, 0, 0}, []time.Duration{1 * s, 1 * s, 1 * s}},
		{"no luck triples it up to the cap", highest, []time.Duration{0, 0, 0, 0}, []time.Duration{3 * s, 9 * s, 20 * s, 20 * s}},
		{"what is asked is the least", lowest, []time.Duration{5 * s, 0, 7 * s}, []time.Duration{5 * s, 1 * s, 7 * s}},
		{"what is asked first is spread a little", highest, []time.Duration{2 * s, 0}, []time.Duration{3 * s, 9 * s}},
		{"what is asked again is spread as the floor", highest, []time.Duration{2 * s, 2 * s}, []time.Duration{3 * s, 9 * s}},
		{"the cap stands above all", lowest, []time.Duration{time.Hour}, []time.Duration{20 * s}},
		{"nonsense is not taken", lowest, []time.Duration{-time.Hour}, []time.Duration{1 * s}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := backoff{floor: s, ceil: 20 * s, between: tt.between}
			var got []time.Duration
			for _, asked := range tt.asked {
				got = append(got, b.next(asked))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if b.reset(); b.next(0) > 3*s {
				t.Error("a reset does not begin anew")
			}
		})
	}
}

func TestBackoffDraws(t *testing.T) {
	b := newBackoff(time.Second, time.Minute)
	for range 1000 {
		last := b.last
		got := b.next(0)
		if got < b.floor || got > b.ceil || got > 3*max(last, b.floor) {
			t.Fatalf("%v after %v", got, last)
		}
	}
	fixed := newBackoff(time.Second, time.Second)
	if got := fixed.next(0); got != time.Second {
		t.Errorf("no room for jitter, yet %v", got)
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		opts := Options{URL: "http://tidemark.invalid/", MinBackoff: time.Hour}
		f := &follower{Options: opts.withDefaults()}
		if err := errors.Join(f.State.Save(""), f.begin()); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, func() { cancel(stop) })
		if err := f.wait(ctx, io.EOF); err != stop {
			t.Errorf("error %v, want the cause", err)
		}
		if err := f.wait(t.Context(), io.EOF); err != nil {
			t.Errorf("error %v after the wait", err)
		}
	})
}

func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		pr, pw := io.Pipe()
		context.AfterFunc(ctx, func() { _ = pw.CloseWithError(context.Cause(ctx)) })
		body := watchedBody{pr, newWatchdog(time.Minute, cancel)}
		go func() {
			for range 3 {
				time.Sleep(50 * time.Second) // late, but not too late
				_, _ = pw.Write([]byte("x"))
			}
		}()
		buf := make([]byte, 1)
		for range 3 {
			if _, err := body.Read(buf); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour) // the caller's time
		}
		if _, err := body.Read(buf); err != ErrIdle {
			t.Errorf("error %v, want ErrIdle", err)
		}
	})
}

func TestWatchdogOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		body := watchedBody{io.NopCloser(strings.NewReader("x")), newWatchdog(-1, cancel)}
		_, readErr := body.Read(make([]byte, 1))
		time.Sleep(24 * time.Hour)
		if err := errors.Join(readErr, ctx.Err(), body.Close()); err != nil {
			t.Error(err)
		}
	})
}
