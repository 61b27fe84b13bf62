package main

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/tidemark/tidemark/pkg/auth"
)

// lifetime is how long a session lasts. A connection ends with its session.
const lifetime = time.Hour

// sessions is the login service: sessions by their cookie, in memory.
type sessions struct {
	mu   sync.Mutex
	byID map[string]session
}

type session struct {
	user    string
	expires time.Time
}

// logIn sets the cookie of a new session. A program that is not an example checks a password here.
func (s *sessions) logIn(w http.ResponseWriter, r *http.Request) {
	user := r.PostFormValue("user")
	if user == "" {
		http.Error(w, "the form has no user", http.StatusBadRequest)
		return
	}
	id, now := rand.Text(), time.Now()
	s.mu.Lock()
	for old, found := range s.byID {
		if now.After(found.expires) {
			delete(s.byID, old)
		}
	}
	s.byID[id] = session{user, now.Add(lifetime)}
	s.mu.Unlock()
	// With HTTPS in front, the cookie should also be Secure.
	http.SetCookie(w, &http.Cookie{Name: "session", Value: id, Path: "/", MaxAge: int(lifetime.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode}) //nolint:gosec // G124: the example has no HTTPS
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// logOut ends the session of a request, and returns its user.
func (s *sessions) logOut(r *http.Request) (user string) {
	found, id := s.find(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
	return found.user
}

// check answers the requests of nginx: 204 with the user and the end of the session, or 401.
func (s *sessions) check(w http.ResponseWriter, r *http.Request) {
	found, _ := s.find(r)
	if found.user == "" {
		http.Error(w, "log in", http.StatusUnauthorized)
		return
	}
	w.Header().Set("X-User", found.user)
	w.Header().Set("X-User-Expires", strconv.FormatInt(found.expires.Unix(), 10))
	w.WriteHeader(http.StatusNoContent)
}

// publisher is an auth.Source: a user with a session may publish to all users.
func (s *sessions) publisher(r *http.Request) (auth.Identity, error) {
	found, _ := s.find(r)
	if found.user == "" {
		return auth.Identity{}, auth.ErrNoIdentity
	}
	return auth.Identity{Publisher: found.user, Publish: []string{"example.user.*"}}, nil
}

// find returns the session of a request; its user is empty where there is none.
func (s *sessions) find(r *http.Request) (found session, id string) {
	cookie, err := r.Cookie("session")
	if err != nil {
		return session{}, ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found = s.byID[cookie.Value]
	if !time.Now().Before(found.expires) {
		return session{}, cookie.Value
	}
	return found, cookie.Value
}
