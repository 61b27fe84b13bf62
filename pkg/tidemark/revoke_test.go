package tidemark_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/pkg/tidemark"
)

// tokens identifies by a token of X-Token that was issued an hour ago, or now with X-Issued.
func tokens(r *http.Request) (auth.Identity, error) {
	token := r.Header.Get("X-Token")
	if token == "" {
		return auth.Identity{}, auth.ErrNoIdentity
	}
	id := auth.Identity{
		Kind: auth.KindJWT, Vars: map[string]string{"user": r.Header.Get("X-User")}, TokenID: token, Issued: time.Now(), Publish: []string{">"},
	}
	if r.Header.Get("X-Issued") == "" {
		id.Issued = id.Issued.Add(-time.Hour)
	}
	return id, nil
}

func TestRevoke_OfAUser_ClosesConnectionsAndRejectsOlderTokens(t *testing.T) {
	eachWay(t, func(t *testing.T, serve func(testing.TB, *tidemark.Feed, http.Handler) string) {
		opts := newsOptions()
		opts.Identify = tokens
		f := startNATS(t).open(t, opts)
		url := serve(t, f, publishMux(f, tidemark.PublishOptions{Identify: tokens}))
		client := newClient(t)
		theirs := connect(t, client, url+"/events", "X-User", "7", "X-Token", "b")
		theirs.next(t, "tidemark.open")
		var closed []*conn
		for _, token := range []string{"a1", "a2"} {
			c := connect(t, client, url+"/events", "X-User", "42", "X-Token", token)
			c.next(t, "tidemark.open")
			closed = append(closed, c)
		}
		n, err := f.Revoke(auth.Revocation{User: "42"})
		if n != len(closed) || err != nil {
			t.Errorf("closed %d connections, %v", n, err)
		}
		for _, c := range closed {
			if reason := field(t, c.next(t, "tidemark.close"), "reason"); reason != "revoked" {
				t.Errorf("closed with %q", reason)
			}
		}
		if c := connect(t, client, url+"/events", "X-User", "42", "X-Token", "a1"); c.status != http.StatusUnauthorized {
			t.Errorf("an older token: status %d", c.status)
		}
		if status, text := post(t, client, url+"/publish/news.all", "x", "X-User", "42", "X-Token", "a1"); status != http.StatusUnauthorized {
			t.Errorf("publishing with an older token: %d %s", status, text)
		}
		connect(t, client, url+"/events", "X-User", "42", "X-Token", "a3", "X-Issued", "now").next(t, "tidemark.open")
		publish(t, f, "news.all", 1)
		if ev := theirs.next(t, ""); string(ev.Data) != "1" {
			t.Errorf("the connection of another user received %s", ev.Data)
		}
	})
}

func TestRevoke_OfAToken_RejectsItAlone(t *testing.T) {
	opts := newsOptions()
	opts.Identify = tokens
	f := startNATS(t).open(t, opts)
	url := ways["engine"](t, f, f)
	client := newClient(t)
	c := connect(t, client, url, "X-User", "42", "X-Token", "a1")
	c.next(t, "tidemark.open")
	other := connect(t, client, url, "X-User", "42", "X-Token", "a2")
	other.next(t, "tidemark.open")
	if n, err := f.Revoke(auth.Revocation{Token: "a1"}); n != 1 || err != nil {
		t.Errorf("closed %d connections, %v", n, err)
	}
	c.next(t, "tidemark.close")
	if again := connect(t, client, url, "X-User", "42", "X-Token", "a1", "X-Issued", "now"); again.status != http.StatusUnauthorized {
		t.Errorf("the token: status %d", again.status)
	}
	publish(t, f, "news.all", 1)
	other.next(t, "")
}

// An identity of a session carries nothing that could be compared with the time of the revocation.
func TestRevoke_OfAUserWithSessions_ClosesConnectionsAndAcceptsLaterOnes(t *testing.T) {
	f := startNATS(t).open(t, newsOptions())
	url := ways["engine"](t, f, f)
	client := newClient(t)
	c := connect(t, client, url, "X-User", "42")
	c.next(t, "tidemark.open")
	if n, err := f.Revoke(auth.Revocation{User: "42"}); n != 1 || err != nil {
		t.Errorf("closed %d connections, %v", n, err)
	}
	c.next(t, "tidemark.close")
	connect(t, client, url, "X-User", "42").next(t, "tidemark.open")
}

func TestRevoke_OfNothing_IsAnError(t *testing.T) {
	f := startNATS(t).open(t, newsOptions())
	for _, rev := range []auth.Revocation{{}, {User: "not UTF-8: \xff"}} {
		if n, err := f.Revoke(rev); err == nil || n != 0 {
			t.Errorf("%+v: closed %d connections, %v", rev, n, err)
		}
	}
}
