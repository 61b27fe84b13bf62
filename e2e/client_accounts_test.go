package e2e_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"testing"
)

// sessionGateway serves the app and the feed from one origin. It passes the user of the cookie to the node;
// /login?user= changes the cookie.
func sessionGateway(t *testing.T, s *service) (origin string) {
	t.Helper()
	page, err := url.Parse(app(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	node, err := url.Parse(s.url(""))
	if err != nil {
		t.Fatal(err)
	}
	feed := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(node)
		r.Out.Header.Del("X-User")
		if cookie, err := r.In.Cookie("user"); err == nil {
			r.Out.Header.Set("X-User", cookie.Value)
		}
	}}
	mux := http.NewServeMux()
	mux.Handle("/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(page) }})
	mux.Handle("/events", feed)
	mux.Handle("/identity", feed)
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "user", Value: r.FormValue("user"), Path: "/"})
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!doctype html><title>in</title>"))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

// testTwoAccounts uses two accounts in one browser, the second while a tab of the first is still open: tabs share
// connections and stored positions only within an account.
func (e engines) testTwoAccounts(t *testing.T) {
	b := e.only(t, chromiumEngine)
	s := serve(t, "--auth.identity=header", "--auth.header.trusted=127.0.0.1", "--sse.heartbeat=1s")
	origin := sessionGateway(t, s)
	logIn := func(user string) {
		t.Helper()
		b.open(t, origin+"/login?user="+user).await(`document.title === 'in'`)
	}
	o := options{"shared": true, "storage": "sessionStorage"}
	logIn(me)
	first := b.start(t, origin, origin+"/events", "", o)
	first.awaitOpened()
	logIn(other)
	second := b.start(t, origin, origin+"/events", "", o)
	second.awaitOpened()
	s.awaitStreams(2)
	p := newProducer(t, s)
	p.publish(1, 60)
	first.wantNumbers("the first account", numbersOf(me, 60))
	second.wantNumbers("the second account", numbersOf(other, 60))

	first.reload() // from here on with the second account
	first.awaitOpened()
	p.publish(61, 120)
	late := numbersOf(other, 120)[len(numbersOf(other, 60)):]
	first.wantNumbers("the tab that changed its account", slices.Concat(numbersOf(me, 60), late))
	second.wantNumbers("the second account", numbersOf(other, 120))
	if n := eval[int](first, "errors.length"); n > 0 {
		t.Errorf("the tab reports %d errors", n)
	}
}
