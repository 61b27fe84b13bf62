package e2e_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidemark/tidemark/pkg/client"
)

// direct is an HTTP client without idle connections, whose goroutines would outlive the test. It trusts the
// certificates of tests.
var direct = &http.Client{Transport: &http.Transport{
	DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
}}

// follower is a program with pkg/client and a state file.
type follower struct {
	t     *testing.T
	name  string
	lives int // events after which the program restarts; 0 for never
	opts  client.Options

	mu     sync.Mutex
	got    []int
	opens  []client.Open
	gaps   []client.Gap
	closes []client.Close
	losses int
	// refusals are responses other than 200, after which an EventSource would give up.
	refusals []string
}

// RoundTrip implements http.RoundTripper.
func (f *follower) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := direct.Transport.RoundTrip(r)
	if err == nil && resp.StatusCode != http.StatusOK {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.refusals = append(f.refusals, resp.Status)
	}
	return resp, err
}

func (f *follower) wantNoRefusal(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.refusals) > 0 {
		t.Errorf("%s was answered %q", f.name, f.refusals)
	}
}

// follow runs a follower until the test ends.
func follow(t *testing.T, name, url string, eventsPerLife int) *follower {
	t.Helper()
	f := &follower{t: t, name: name, lives: eventsPerLife}
	f.opts = client.Options{
		URL: url, HTTPClient: &http.Client{Transport: f}, State: client.FileState(filepath.Join(t.TempDir(), "position")),
		MinBackoff: 10 * time.Millisecond, MaxBackoff: 200 * time.Millisecond,
		IdleTimeout: 2500 * time.Millisecond, // the services of these tests send a heartbeat each second
		OnDisconnect: func(error, time.Duration) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.losses++
		},
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			f.live(ctx)
		}
	})
	t.Cleanup(func() { cancel(errOver); running.Wait() })
	return f
}

var errOver = errors.New("the test is over")

// live runs the program once. At its end, the position of the last handled event is saved.
func (f *follower) live(ctx context.Context) {
	handled := 0
	for ev, err := range client.Follow(ctx, f.opts) {
		if err != nil {
			if err != errOver {
				f.t.Errorf("%s: %v", f.name, err)
				<-ctx.Done()
			}
			return
		}
		f.take(ev)
		if handled++; handled == f.lives {
			if err := f.opts.State.Save(ev.ID); err != nil {
				f.t.Errorf("%s: %v", f.name, err)
			}
			return
		}
	}
}

func (f *follower) take(ev client.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch ev.Kind {
	case client.KindMessage:
		f.got = append(f.got, number(string(ev.Data)))
	case client.KindOpen:
		f.opens = append(f.opens, *ev.Open)
	case client.KindGap:
		f.gaps = append(f.gaps, *ev.Gap)
	case client.KindClose:
		f.closes = append(f.closes, *ev.Close)
	}
}

func (f *follower) numbers() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.got)
}

func (f *follower) awaitOpen(connections int) {
	f.t.Helper()
	eventually(f.t, f.name+" connects", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.opens) >= connections
	})
}

// wantExactly waits for the last number and compares all that were received.
func (f *follower) wantExactly(want []int) {
	f.t.Helper()
	wantExactly(f.t, f.name, want, f.numbers)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.gaps) > 0 {
		f.t.Errorf("%s received gaps: %+v", f.name, f.gaps)
	}
	for _, open := range f.opens[min(1, len(f.opens)):] {
		if !open.Resumed {
			f.t.Errorf("%s came back and was not resumed: %+v", f.name, open)
		}
	}
	f.t.Logf("%s: %d events over %d connections; %d lost", f.name, len(f.got), len(f.opens), f.losses)
}

// wantExactly waits until the last expected number has been received, and compares all of them.
func wantExactly(t *testing.T, who string, want []int, numbers func() []int) {
	t.Helper()
	last := want[len(want)-1]
	eventually(t, fmt.Sprintf("event %d for %s", last, who), func() bool { return slices.Contains(numbers(), last) })
	if got := numbers(); !slices.Equal(got, want) {
		t.Errorf("%s received %d events, want %d: %s", who, len(got), len(want), firstDifference(got, want))
	}
}

func firstDifference(got, want []int) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			from := max(0, i-3)
			return fmt.Sprintf("%v..., want %v...", got[from:min(i+5, len(got))], want[from:min(i+5, len(want))])
		}
	}
	return "one is the beginning of the other"
}
