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

// JWKSOptions configures the fetching of a JWK Set. The zero value is usable.
type JWKSOptions struct {
	// Refresh is the interval between fetches; 15 min if zero.
	Refresh time.Duration
	// MinInterval is the minimum time between two fetches, also for unknown key ids; 10 s if zero. After
	// a failure the first retry waits MinInterval, and each further retry twice as long, up to Refresh.
	MinInterval time.Duration
	// MaxStale is the time for which keys stay in use while fetches fail; 24 h if zero. During that time
	// a key withdrawn by the issuer is still accepted.
	MaxStale time.Duration
	// Timeout limits one fetch, and therefore the wait of a request; 5 s if zero.
	Timeout time.Duration
	// MaxBytes limits the size of the response; 1 MiB if zero.
	MaxBytes int64
	// AllowHTTP accepts URLs of other machines without TLS. An attacker on the network can then replace
	// the keys and forge tokens of any user.
	AllowHTTP bool
	// Client sends the requests; nil means a client with its own transport. If it has no CheckRedirect, it
	// follows up to 3 redirects, except from https to http.
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
		return errors.New("jwks: a duration or limit is negative; use 0 for the default")
	}
	if o.MinInterval > o.Refresh {
		return fmt.Errorf("jwks: the minimum interval (%v) is longer than the refresh interval (%v)", o.MinInterval, o.Refresh)
	}
	return nil
}

// remoteKeys caches the keys of a URL. One goroutine fetches them. Requests trigger a fetch and wait for
// the same one.
type remoteKeys struct {
	opts     JWKSOptions
	fetch    fetcher
	log      *slog.Logger
	requests chan struct{} // at most one, and only while pending is open
	ctx      context.Context
	cancel   context.CancelFunc
	done     sync.WaitGroup

	mu          sync.Mutex
	keys        []key
	fetchedAt   time.Time     // zero before the first success
	lastErr     error         // of the last attempt
	lastAttempt time.Time     // when the last attempt was requested
	pending     chan struct{} // closed at the end of the running attempt; nil if there is none
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
		requests: make(chan struct{}, 1),
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.requestFetch(true)
	k.done.Go(k.run)
	return k, nil
}

// find returns the keys for an id. It waits for a fetch if there are no keys or the id is unknown.
func (k *remoteKeys) find(ctx context.Context, id string) ([]key, error) {
	keys, _ := k.cached()
	if chosen := keysFor(keys, id); len(chosen) > 0 {
		return chosen, nil
	}
	err := k.wait(ctx, k.requestFetch(false))
	keys, fresh := k.cached()
	if chosen := keysFor(keys, id); len(chosen) > 0 {
		return chosen, nil
	}
	if fresh && err == nil {
		return nil, unknownKey()
	}
	return nil, &Error{
		Status: http.StatusServiceUnavailable, Detail: "the keys for the verification of tokens are not available; retry with the same token",
		Err: ErrKeysUnavailable,
	}
}

// cached returns the keys unless they are older than MaxStale.
func (k *remoteKeys) cached() (keys []key, fresh bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fetchedAt.IsZero() || time.Since(k.fetchedAt) > k.opts.MaxStale {
		return nil, false
	}
	return k.keys, true
}

// requestFetch starts an attempt, or joins the running one. It returns a channel that is closed at the
// end of the attempt, or nil if the last attempt was less than MinInterval ago and always is false.
func (k *remoteKeys) requestFetch(always bool) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pending != nil {
		return k.pending
	}
	if !always && time.Since(k.lastAttempt) < k.opts.MinInterval {
		return nil
	}
	k.pending, k.lastAttempt = make(chan struct{}), time.Now()
	k.requests <- struct{}{}
	return k.pending
}

// wait waits for the end of an attempt, and returns the error of the last attempt.
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
	return k.lastErr
}

var errClosed = errors.New("the key source is closed")

// refresh starts an attempt after the end of a running one, which may have read older keys.
func (k *remoteKeys) refresh(ctx context.Context) error {
	k.mu.Lock()
	running := k.pending
	k.mu.Unlock()
	if running != nil {
		_ = k.wait(ctx, running)
	}
	return k.wait(ctx, k.requestFetch(true))
}

// run fetches the keys on request and at intervals.
func (k *remoteKeys) run() {
	failures := 0
	for {
		timer := time.NewTimer(k.pause(failures))
		select {
		case <-k.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			k.requestFetch(true)
			continue
		case <-k.requests:
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
		return false // closed; waiting requests see the closed context
	}
	k.logResult(err, len(keys))
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.keys, k.fetchedAt = keys, time.Now()
	}
	k.lastErr = err
	close(k.pending)
	k.pending = nil
	return err == nil
}

func (k *remoteKeys) logResult(err error, keys int) {
	if err == nil {
		k.log.Debug("auth: jwks fetched", "keys", keys)
		return
	}
	k.mu.Lock()
	good := k.fetchedAt
	k.mu.Unlock()
	if good.IsZero() {
		k.log.Warn("auth: jwks fetch failed; tokens cannot be verified", "error", err)
		return
	}
	k.log.Warn("auth: jwks fetch failed; previous keys stay in use", "error", err, "since", good, "until", good.Add(k.opts.MaxStale))
}

func (k *remoteKeys) close() {
	k.cancel()
	k.done.Wait()
}
