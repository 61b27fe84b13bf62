package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// JWKSOptions say how a JWK Set is fetched. The zero value works.
type JWKSOptions struct {
	// Refresh is how often the keys are fetched; 15 min when zero.
	Refresh time.Duration
	// MinInterval is the least time between two fetches, whatever tokens ask for; 10 s when
	// zero. After a failure the next attempt waits as long, and twice as long each time, up
	// to Refresh.
	MinInterval time.Duration
	// MaxStale is how long keys are used while they cannot be fetched again; 24 h when zero.
	// A key that the issuer withdraws in that time goes on being accepted.
	MaxStale time.Duration
	// Timeout bounds one fetch, and with it what a request waits; 5 s when zero.
	Timeout time.Duration
	// MaxBytes bounds the answer; 1 MiB when zero.
	MaxBytes int64
	// AllowHTTP takes a URL without TLS from other machines too: whoever is on the way can
	// then put in keys, and be anybody.
	AllowHTTP bool
	// Client fetches; one with a transport of its own when nil. Unless it says otherwise, up
	// to 3 redirects are followed, and none away from TLS.
	Client *http.Client
}

func (o JWKSOptions) withDefaults() JWKSOptions {
	o.Refresh = cmp.Or(o.Refresh, 15*time.Minute)
	o.MinInterval = cmp.Or(o.MinInterval, min(10*time.Second, o.Refresh))
	o.MaxStale = cmp.Or(o.MaxStale, 24*time.Hour)
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.MaxBytes = cmp.Or(o.MaxBytes, 1<<20)
	return o
}

func (o JWKSOptions) check() error {
	if o.Refresh < 0 || o.MinInterval < 0 || o.MaxStale < 0 || o.Timeout < 0 || o.MaxBytes < 0 {
		return errors.New("jwks: durations and bounds are not negative")
	}
	if o.MinInterval > o.Refresh {
		return fmt.Errorf("jwks: the least interval (%v) is longer than the time between refreshes (%v)", o.MinInterval, o.Refresh)
	}
	return nil
}

// remoteKeys are keys of a URL. One goroutine fetches; requests ask it to, and wait for it
// together.
type remoteKeys struct {
	opts   JWKSOptions
	fetch  fetcher
	log    *slog.Logger
	asks   chan struct{} // one at most, and only while flight is open
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	keys   []key
	good   time.Time     // when keys were fetched; zero when they never were
	failed error         // the last attempt's
	tried  time.Time     // when the last attempt was asked for
	flight chan struct{} // closed when the attempt has ended; nil when there is none
}

func fetchKeys(rawURL string, opts JWKSOptions, log *slog.Logger) (*remoteKeys, error) {
	opts = opts.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	u, err := checkURL(rawURL, opts.AllowHTTP)
	if err != nil {
		return nil, err
	}
	k := &remoteKeys{
		opts: opts, fetch: newFetcher(u, opts), log: log.With("jwks", (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()),
		asks: make(chan struct{}, 1),
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.ask(true)
	k.done.Go(k.run)
	return k, nil
}

// find blocks on a fetch while no keys are there, and for an id that is not known.
func (k *remoteKeys) find(ctx context.Context, id string) ([]key, error) {
	keys, _ := k.cached()
	if chosen := choose(keys, id); len(chosen) > 0 {
		return chosen, nil
	}
	err := k.wait(ctx, k.ask(false))
	keys, fresh := k.cached()
	if chosen := choose(keys, id); len(chosen) > 0 {
		return chosen, nil
	}
	if fresh && err == nil {
		return nil, unknownKey()
	}
	return nil, &Error{
		Status: http.StatusServiceUnavailable, Detail: "the keys that tokens are checked with cannot be had now; come again with the same token",
		Err: ErrKeysUnavailable,
	}
}

// cached returns the keys, as long as they are not too old.
func (k *remoteKeys) cached() (keys []key, fresh bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.good.IsZero() || time.Since(k.good) > k.opts.MaxStale {
		return nil, false
	}
	return k.keys, true
}

// ask returns what is closed when the attempt that runs has ended. It begins one, unless the
// last was too recent: then it returns nil.
func (k *remoteKeys) ask(always bool) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.flight != nil {
		return k.flight
	}
	if !always && time.Since(k.tried) < k.opts.MinInterval {
		return nil
	}
	k.flight, k.tried = make(chan struct{}), time.Now()
	k.asks <- struct{}{}
	return k.flight
}

// wait returns how the last attempt ended.
func (k *remoteKeys) wait(ctx context.Context, flight <-chan struct{}) error {
	if flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return ctx.Err()
		case <-k.ctx.Done():
			return errClosed
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed
}

var errClosed = errors.New("the source of keys is closed")

// refresh lets an attempt that runs already end first: it may have read what has changed since.
func (k *remoteKeys) refresh(ctx context.Context) error {
	k.mu.Lock()
	running := k.flight
	k.mu.Unlock()
	if running != nil {
		_ = k.wait(ctx, running)
	}
	return k.wait(ctx, k.ask(true))
}

// run fetches when it is asked to, and when it is time.
func (k *remoteKeys) run() {
	failures := 0
	for {
		timer := time.NewTimer(k.pause(failures))
		select {
		case <-k.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			k.ask(true)
			continue
		case <-k.asks:
			timer.Stop()
		}
		if k.attempt() {
			failures = 0
		} else {
			failures++
		}
	}
}

func (k *remoteKeys) pause(failures int) time.Duration {
	if failures == 0 {
		return k.opts.Refresh
	}
	pause := k.opts.MinInterval
	for range min(failures-1, 16) {
		pause *= 2
	}
	return min(pause, k.opts.Refresh)
}

func (k *remoteKeys) attempt() (ok bool) {
	ctx, cancel := context.WithTimeout(k.ctx, k.opts.Timeout)
	defer cancel()
	keys, err := k.fetch(ctx)
	if k.ctx.Err() != nil {
		return false // closed; who waits sees that
	}
	k.tell(err, len(keys))
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.keys, k.good = keys, time.Now()
	}
	k.failed = err
	close(k.flight)
	k.flight = nil
	return err == nil
}

func (k *remoteKeys) tell(err error, keys int) {
	if err == nil {
		k.log.Debug("keys fetched", "keys", keys)
		return
	}
	k.mu.Lock()
	good := k.good
	k.mu.Unlock()
	if good.IsZero() {
		k.log.Warn("keys cannot be fetched; no token can be checked", "error", err)
		return
	}
	k.log.Warn("keys cannot be fetched; those from before stay", "error", err, "since", good, "until", good.Add(k.opts.MaxStale))
}

func (k *remoteKeys) close() {
	k.cancel()
	k.done.Wait()
}
