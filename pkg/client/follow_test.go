package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/pkg/sse"
)

func TestFollowResumes(t *testing.T) {
	problem := answer(503, "application/problem+json", `{"title":"draining"}`)
	tests := []struct {
		name  string
		first http.HandlerFunc
		want  []string // the ids of all events
		lasts []string // Last-Event-ID of each request
	}{
		{"clean end", thenEnd(message(1)), []string{"1-k7f3q9", "2-k7f3q9"}, []string{"", "1-k7f3q9"}},
		{"abort", thenAbort(message(1)), []string{"1-k7f3q9", "2-k7f3q9"}, []string{"", "1-k7f3q9"}},
		{"cut within data", thenAbort(message(1) + "event: greeting\ndata: mess"),
			[]string{"1-k7f3q9", "2-k7f3q9"}, []string{"", "1-k7f3q9"}},
		{"cut after the id", thenAbort(message(1) + "data: x\nid: 2-k7f3q9\n"),
			[]string{"1-k7f3q9", "2-k7f3q9"}, []string{"", "1-k7f3q9"}},
		{"clean end within an event", thenEnd(message(1) + "data: x\nid: 2-k7f3q9"),
			[]string{"1-k7f3q9", "2-k7f3q9"}, []string{"", "1-k7f3q9"}},
		{"before the first event", thenAbort(":\n\n"), []string{"2-k7f3q9"}, []string{"", ""}},
		{"a position before the first event", thenAbort("event: tidemark.position\ndata: {}\nid: 1-k7f3q9\n\n"),
			[]string{"2-k7f3q9"}, []string{"", "1-k7f3q9"}},
		{"503", problem, []string{"2-k7f3q9"}, []string{"", ""}},
		{"429", answer(429, "text/plain", "slow down"), []string{"2-k7f3q9"}, []string{"", ""}},
		{"502 of a proxy", answer(502, "text/html", "<h1>oops"), []string{"2-k7f3q9"}, []string{"", ""}},
	}
	protocols(t, func(t *testing.T, http2 bool) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				srv := newServer(t, http2, tt.first, thenSilence(message(2)))
				evs, err := collect(t, srv.options(), len(tt.want))
				if err != nil || !slices.Equal(ids(evs), tt.want) {
					t.Errorf("got %q, %v; want %q", ids(evs), err, tt.want)
				}
				for i, last := range tt.lasts {
					if got := srv.request(i).Header.Get("Last-Event-ID"); got != last {
						t.Errorf("request %d continues after %q, want %q", i, got, last)
					}
				}
			})
		}
	})
}

func ids(evs []Event) (ids []string) {
	for _, ev := range evs {
		ids = append(ids, ev.ID)
	}
	return ids
}

func TestFollowRetriesWithoutServer(t *testing.T) {
	srv := newServer(t, false, thenEnd(message(1)))
	opts := srv.options()
	srv.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	tries := 0
	opts.OnDisconnect = func(error, time.Duration) {
		if tries++; tries == 3 {
			cancel(enough)
		}
	}
	for _, err := range Follow(ctx, opts) {
		if err != enough || tries != 3 {
			t.Errorf("%v after %d tries, want the context's cause after 3", err, tries)
		}
	}
}

// The URL of a feed may contain a token, and errors are logged.
func TestErrorsHoldNoToken(t *testing.T) {
	srv := newServer(t, false, thenEnd(message(1)))
	opts := srv.options()
	srv.Close()
	const query = "/events?access_token=s3cret"
	for _, feed := range []string{srv.URL + query, "ftp://h" + query, "http://h:port" + query} {
		ctx, cancel := context.WithCancel(t.Context())
		var errs []error
		opts.URL = feed
		opts.OnDisconnect = func(err error, _ time.Duration) {
			errs = append(errs, err)
			cancel()
		}
		for _, err := range Follow(ctx, opts) {
			errs = append(errs, err)
		}
		cancel()
		if text := errors.Join(errs...).Error(); strings.Contains(text, "s3cret") || !strings.Contains(text, "/events?…") {
			t.Errorf("%s: %s", feed, text)
		}
	}
}

func TestFollowStops(t *testing.T) {
	tests := []struct {
		name string
		step http.HandlerFunc
		want ResponseError
		text string
	}{
		{"401 with a problem",
			answer(401, "application/problem+json; charset=utf-8", `{"title":"Not authenticated","detail":"the token has expired"}`),
			ResponseError{StatusCode: 401, Title: "Not authenticated", Detail: "the token has expired"},
			"the server answered 401 Not authenticated: the token has expired"},
		{"problem without a title", answer(400, "application/problem+json", `{"detail":"bad subject"}`),
			ResponseError{StatusCode: 400, Title: "Bad Request", Detail: "bad subject"},
			"the server answered 400 Bad Request: bad subject"},
		{"problem that is none", answer(403, "application/problem+json", `<`),
			ResponseError{StatusCode: 403, Title: "Forbidden"}, "the server answered 403 Forbidden"},
		{"404 in plain text", answer(404, "text/plain; charset=utf-8", "\n404 page not found\nmore\n"),
			ResponseError{StatusCode: 404, Title: "Not Found", Detail: "404 page not found"},
			"the server answered 404 Not Found: 404 page not found"},
		{"no content", answer(204, "text/event-stream", ""), ResponseError{StatusCode: 204, Title: "No Content"},
			"the server answered 204 No Content"},
		{"a page", answer(200, "text/html", "<h1>log in"), ResponseError{StatusCode: 200, Title: "OK"},
			`the server answered "text/html" instead of an event stream`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := newServer(t, false, tt.step)
			evs, err := collect(t, srv.options(), 1)
			got, ok := errors.AsType[*ResponseError](err)
			if !ok || len(evs) > 0 || srv.count() != 1 {
				t.Fatalf("got %v, %v after %d requests", evs, err, srv.count())
			}
			if got.StatusCode != tt.want.StatusCode || got.Title != tt.want.Title || got.Detail != tt.want.Detail {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if err.Error() != tt.text {
				t.Errorf("it says %q, want %q", err, tt.text)
			}
		})
	}
}

func TestFollowStopsOnReconnectToo(t *testing.T) {
	srv := newServer(t, false, thenAbort(message(1)), answer(401, "text/plain", "expired"))
	evs, err := collect(t, srv.options(), 2)
	if got, ok := errors.AsType[*ResponseError](err); !ok || got.StatusCode != 401 || len(evs) != 1 {
		t.Errorf("got %q, %v", ids(evs), err)
	}
}

func TestFollowControlEvents(t *testing.T) {
	stream := `event: tidemark.open
data: {"stream":"NOTIFICATIONS","position":"7-k","resumed":true,"pending":3,"subjects":["a.b","c.>"]}
id: 7-k

event: tidemark.gap
data: {"reason":"trimmed","requested":"3-k","first_available":"7-k","continues_after":"6-k"}
id: 8-k

event: tidemark.position
data: {"position":"9-k"}
id: 9-k

data: no id of its own

event: tidemark.close
data: {"reason":"drain","retry_ms":4,"message":"going down"}
id: 10-k

event: tidemark.new
data: {}

event: tidemark.gap
data: not JSON
id: 11-k

`
	srv := newServer(t, false, thenSilence(stream))
	evs, err := collect(t, srv.options(), 6)
	if err != nil {
		t.Fatal(err)
	}
	kinds := []Kind{KindOpen, KindGap, KindMessage, KindClose, KindControl, KindControl}
	positions := []string{"7-k", "8-k", "9-k", "10-k", "10-k", "11-k"}
	for i, ev := range evs {
		if ev.Kind != kinds[i] || ev.ID != positions[i] {
			t.Errorf("event %d: kind %d at %q, want %d at %q", i, ev.Kind, ev.ID, kinds[i], positions[i])
		}
	}
	if o := evs[0].Open; o == nil || o.Stream != "NOTIFICATIONS" || o.Position != "7-k" || !o.Resumed || o.Pending != 3 ||
		!slices.Equal(o.Subjects, []string{"a.b", "c.>"}) {
		t.Errorf("open %+v", o)
	}
	if g := evs[1].Gap; g == nil || *g != (Gap{"trimmed", "3-k", "7-k", "6-k"}) {
		t.Errorf("gap %+v", g)
	}
	if c := evs[3].Close; c == nil || *c != (Close{"drain", 4, "going down"}) {
		t.Errorf("close %+v", c)
	}
}

// A delay requested by the server is a lower bound. The test compares it with the waits passed to
// OnDisconnect, not with the clock.
func TestFollowHonoursRetry(t *testing.T) {
	tests := []struct {
		name   string
		step   http.HandlerFunc
		events int // of both connections
		min    time.Duration
	}{
		{"retry", thenAbort("retry: 20\n"), 1, 20 * time.Millisecond},
		{"retry above the cap", thenAbort("retry: 60000\n\n"), 1, 40 * time.Millisecond},
		{"close", thenAbort("retry: 1\nevent: tidemark.close\ndata: {\"retry_ms\":25}\nid: 1-k\n\n"), 2, 25 * time.Millisecond},
		{"Retry-After", answer(503, "text/plain", "", "Retry-After", "7"), 1, 40 * time.Millisecond},
		{"Retry-After as a date", answer(503, "text/plain", "", "Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"), 1, time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv := newServer(t, false, tt.step, thenSilence(message(2)))
			opts := srv.options()
			opts.MaxBackoff = 40 * time.Millisecond
			var waits []time.Duration
			opts.OnDisconnect = func(_ error, wait time.Duration) { waits = append(waits, wait) }
			if _, err := collect(t, opts, tt.events); err != nil {
				t.Fatal(err)
			}
			if waits[0] < tt.min || waits[0] > opts.MaxBackoff {
				t.Errorf("waits %v, want the first within %v and %v", waits, tt.min, opts.MaxBackoff)
			}
		})
	}
}

func TestFollowGivesUpOnSilence(t *testing.T) {
	silentFromTheStart := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	protocols(t, func(t *testing.T, http2 bool) {
		srv := newServer(t, http2, silentFromTheStart, thenSilence(message(1)), thenSilence(message(2)))
		opts := srv.options()
		opts.IdleTimeout = 100 * time.Millisecond
		var whys []error
		opts.OnDisconnect = func(why error, _ time.Duration) { whys = append(whys, why) }
		evs, err := collect(t, opts, 2)
		if err != nil || len(evs) != 2 {
			t.Fatalf("got %q, %v", ids(evs), err)
		}
		for _, why := range whys {
			if why != ErrIdle {
				t.Errorf("disconnected by %v, want ErrIdle", why)
			}
		}
	})
}

func TestFollowRequest(t *testing.T) {
	srv := newServer(t, false, thenAbort(":\n\n"), thenAbort(message(1)), thenSilence(message(2)))
	opts := srv.options()
	opts.From = "10m"
	opts.Header = http.Header{"Authorization": {"Bearer t"}, "Accept": {"*/*"}, "Last-Event-Id": {"mine"}}
	if _, err := collect(t, opts, 2); err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ query, last string }{
		{"from=10m&user=42", "mine"}, {"from=10m&user=42", "mine"}, {"user=42", "1-k7f3q9"},
	} {
		r := srv.request(i)
		if r.URL.RawQuery != want.query || r.Header.Get("Last-Event-ID") != want.last {
			t.Errorf("request %d: %s after %q", i, r.URL.RawQuery, r.Header.Get("Last-Event-ID"))
		}
		if r.Header.Get("Authorization") != "Bearer t" || r.Header.Get("Accept") != "text/event-stream" {
			t.Errorf("request %d: header %v", i, r.Header)
		}
	}
	if opts.Header.Get("Last-Event-ID") != "mine" || len(opts.Header) != 3 {
		t.Errorf("the caller's header has become %v", opts.Header)
	}
}

func TestFollowBadURL(t *testing.T) {
	for _, u := range []string{"", "localhost:8080/events", "/events", "ftp://host/", "http://", "http://host:port/"} {
		evs, err := collect(t, Options{URL: u}, 1)
		if err == nil || len(evs) > 0 {
			t.Errorf("%q: %v, %v", u, evs, err)
		}
	}
}

func TestFollowMaxEventSize(t *testing.T) {
	srv := newServer(t, false, thenSilence(message(1)+"data: "+strings.Repeat("x", 200)))
	opts := srv.options()
	opts.MaxEventSize = 100
	evs, err := collect(t, opts, 2)
	if _, ok := errors.AsType[*sse.TooLargeError](err); !ok || len(evs) != 1 {
		t.Errorf("got %q, %v", ids(evs), err)
	}
}

func TestFollowRefusesIDsThatCannotGoBack(t *testing.T) {
	srv := newServer(t, false, thenSilence("data: x\nid: a\tb\n\n"))
	if _, err := collect(t, srv.options(), 2); err == nil || !strings.Contains(err.Error(), "cannot be a position") {
		t.Errorf("error %v", err)
	}
}

func TestFollowEventsBelongToTheCaller(t *testing.T) {
	srv := newServer(t, false, thenSilence(message(1)+message(2)))
	evs, err := collect(t, srv.options(), 2)
	if err != nil || string(evs[0].Data) != "message 1" || evs[0].Type != "greeting" {
		t.Errorf("got %+v, %v", evs, err)
	}
}

// A caller that breaks has not requested the next event, so its position is not saved.
func TestFollowBreak(t *testing.T) {
	srv := newServer(t, false, thenSilence(message(1)))
	opts := srv.options()
	opts.State = FileState(filepath.Join(t.TempDir(), "state"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range Follow(ctx, opts) {
		cancel()
		break
	}
	if position, err := opts.State.Load(); position != "" || err != nil {
		t.Errorf("state %q, %v, want none", position, err)
	}
}

const completeClose = "event: tidemark.close\ndata: {\"reason\":\"complete\",\"retry_ms\":1,\"message\":\"complete\"}\n\n"

// followAll follows until Follow ends, and returns the reason; nil for a normal end.
func followAll(t *testing.T, opts Options) (evs []Event, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for ev, err := range Follow(ctx, opts) {
		if err != nil {
			return evs, err
		}
		evs = append(evs, ev)
	}
	return evs, nil
}

func TestFollow_UntilEndAndComplete_EndsWithoutError(t *testing.T) {
	protocols(t, func(t *testing.T, http2 bool) {
		for name, script := range map[string][]http.HandlerFunc{
			"close":                  {thenEnd(message(1) + message(2) + completeClose)},
			"close, aborted":         {thenAbort(message(1) + message(2) + completeClose)},
			"close after reconnects": {thenAbort(message(1)), answer(503, "text/plain", "draining"), thenEnd(message(2) + completeClose)},
			"204":                    {thenAbort(message(1) + message(2)), answer(204, "", "")},
		} {
			t.Run(name, func(t *testing.T) {
				srv := newServer(t, http2, script...)
				opts := srv.options()
				opts.UntilEnd, opts.State = true, FileState(filepath.Join(t.TempDir(), "position"))
				evs, err := followAll(t, opts)
				evs = slices.DeleteFunc(evs, func(ev Event) bool { return ev.Kind != KindMessage })
				if want := []string{"1-k7f3q9", "2-k7f3q9"}; err != nil || !slices.Equal(ids(evs), want) {
					t.Errorf("got %q, %v; want %q", ids(evs), err, want)
				}
				if position, err := opts.State.Load(); position != "2-k7f3q9" {
					t.Errorf("the position %q is saved, %v", position, err)
				}
				if n := srv.count(); n != len(script) {
					t.Errorf("%d requests, want %d", n, len(script))
				}
				if got := srv.request(0).URL.Query().Get("until"); got != "end" {
					t.Errorf("the request has until=%q", got)
				}
			})
		}
	})
}

// Without UntilEnd a close is followed by a reconnect, and 204 is an error.
func TestFollow_CompleteWithoutUntilEnd_Reconnects(t *testing.T) {
	srv := newServer(t, false, thenEnd(message(1)+completeClose), answer(204, "", ""))
	evs, err := followAll(t, srv.options())
	if resp, ok := errors.AsType[*ResponseError](err); !ok || resp.StatusCode != http.StatusNoContent || len(evs) != 2 {
		t.Errorf("got %d events, %v; want the error of 204", len(evs), err)
	}
}

// TestFollow_CertificateCannotBeVerified_EndsTheLoop uses a client that does not trust the server.
func TestFollow_CertificateCannotBeVerified_EndsTheLoop(t *testing.T) {
	srv := httptest.NewUnstartedServer(thenEnd(message(1)))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // the test causes a rejected certificate
	srv.StartTLS()
	t.Cleanup(srv.Close)
	evs, err := collect(t, Options{URL: srv.URL + "/events", MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}, 1)
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || len(evs) > 0 {
		t.Errorf("got %d events, %v", len(evs), err)
	}
}
