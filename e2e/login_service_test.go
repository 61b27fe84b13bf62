package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// loginService receives the head of each request from a gateway, and identifies sessions by their cookie.
type loginService struct {
	addr string

	mu       sync.Mutex
	sessions map[string]session
	seen     []http.Header // of the requests so far
	stop     func()
}

type session struct {
	user    string
	expires time.Time
}

func newLoginService(t *testing.T) *loginService {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &loginService{addr: l.Addr().String(), sessions: map[string]session{}}
	srv := &http.Server{Handler: s, ReadHeaderTimeout: waitTimeout}
	var serving sync.WaitGroup
	serving.Go(func() { _ = srv.Serve(l) })
	s.stop = sync.OnceFunc(func() { _ = srv.Close(); serving.Wait() })
	t.Cleanup(s.stop)
	return s
}

// ServeHTTP answers 204 with the user of the session, or 401.
func (s *loginService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, r.Header.Clone())
	cookie, err := r.Cookie("session")
	if err != nil || r.URL.Path != "/check" || r.Method != http.MethodGet {
		s.refuse(w)
		return
	}
	found, ok := s.sessions[cookie.Value]
	if !ok || !time.Now().Before(found.expires) {
		s.refuse(w)
		return
	}
	if found.user != "" {
		w.Header().Set("X-User", found.user)
		w.Header().Set("X-User-Expires", fmt.Sprint(found.expires.Unix()))
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *loginService) refuse(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Session realm="login"`)
	http.Error(w, "log in", http.StatusUnauthorized)
}

// logIn returns the Cookie header of a new session. For a session with an empty user, the service accepts the
// request and names no user.
func (s *loginService) logIn(user string, lasts time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprint("s", len(s.sessions))
	s.sessions[id] = session{user: user, expires: time.Now().Add(lasts).Truncate(time.Second)}
	return "session=" + id
}

// ends returns the end of the session that logIn returned.
func (s *loginService) ends(cookie string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[strings.TrimPrefix(cookie, "session=")].expires
}

// received returns the headers of the requests so far, and removes them.
func (s *loginService) received() []http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}
