package auth_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tidemark/tidemark/pkg/auth"
)

// scripted provides responses within a synctest bubble, without a network.
type scripted struct {
	mu    sync.Mutex
	body  string
	err   error
	times []time.Time
}

func (s *scripted) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times = append(s.times, time.Now())
	if s.err != nil {
		return nil, s.err
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(s.body)), Request: r}, nil
}

func (s *scripted) set(body string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body, s.err = body, err
}

// gaps returns the times between the fetches since the last call.
func (s *scripted) gaps() (gaps []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := 1; n < len(s.times); n++ {
		gaps = append(gaps, s.times[n].Sub(s.times[n-1]))
	}
	s.times = s.times[max(len(s.times)-1, 0):]
	return gaps
}

func TestJWKSOverTime(t *testing.T) {
	set, next := jwks(t, jwk("a", rsaKey())), jwks(t, jwk("a", rsaKey()), jwk("b", p256()))
	synctest.Test(t, func(t *testing.T) {
		issuer := &scripted{body: set}
		source := openJWT(t, auth.JWTOptions{JWKSURL: "https://id.example/jwks", JWKS: auth.JWKSOptions{Client: &http.Client{Transport: issuer}}})
		a := func() error {
			_, err := source.Identify(bearing(sign(jose.RS256, rsaKey(), "a", claims(nil))))
			return err
		}
		b := func() error {
			_, err := source.Identify(bearing(sign(jose.ES256, p256(), "b", claims(nil))))
			return err
		}
		if err := a(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Minute)
		if gaps := fmt.Sprint(issuer.gaps()); gaps != "[15m0s 15m0s]" {
			t.Errorf("fetches in half an hour: %s", gaps)
		}

		// An unknown key id causes a fetch at most every ten seconds.
		if err := b(); status(err) != http.StatusUnauthorized {
			t.Errorf("before it is published: %v", err)
		}
		issuer.set(next, nil)
		time.Sleep(9 * time.Second)
		if err := b(); status(err) != http.StatusUnauthorized {
			t.Errorf("too soon: %v", err)
		}
		time.Sleep(time.Second)
		if err := b(); err != nil {
			t.Errorf("after the least interval: %v", err)
		}
		if gaps := fmt.Sprint(issuer.gaps()); gaps != "[1m0s 10s]" {
			t.Errorf("fetches for a new key: %s", gaps)
		}

		// While the issuer is down, the interval grows, and the keys stay in use for a day.
		issuer.set("", errors.New("down"))
		time.Sleep(15*time.Minute + 10*time.Second*(1+2+4+8+16+32+64) + 31*time.Minute)
		if gaps := fmt.Sprint(issuer.gaps()); gaps != "[15m0s 10s 20s 40s 1m20s 2m40s 5m20s 10m40s 15m0s 15m0s]" {
			t.Errorf("fetches of an issuer that is down: %s", gaps)
		}
		time.Sleep(22 * time.Hour)
		if err := a(); err != nil {
			t.Errorf("keys of today: %v", err)
		}
		time.Sleep(2 * time.Hour)
		if err := a(); !errors.Is(err, auth.ErrKeysUnavailable) {
			t.Errorf("keys of yesterday: %v", err)
		}
		issuer.set(next, nil)
		time.Sleep(15 * time.Minute)
		if err := a(); err != nil {
			t.Errorf("the issuer is back: %v", err)
		}
		if err := source.Close(); err != nil {
			t.Error(err)
		}
	})
}
