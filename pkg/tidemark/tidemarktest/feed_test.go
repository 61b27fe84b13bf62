package tidemarktest_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark/tidemark/pkg/auth"
	"github.com/tidemark/tidemark/pkg/sse"
	"github.com/tidemark/tidemark/pkg/tidemark"
	"github.com/tidemark/tidemark/pkg/tidemark/tidemarktest"
)

var users = func(r *http.Request) (auth.Identity, error) {
	return auth.Identity{Vars: map[string]string{"user": r.Header.Get("X-Test-User")}}, nil
}

func options() tidemark.Options {
	return tidemark.Options{Subjects: []string{"n.all", "n.user.{user}"}, Identify: users}
}

func get(t *testing.T, client *http.Client, url, user, position string) *sse.Decoder {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Test-User", user)
	if position != "" {
		req.Header.Set("Last-Event-ID", position)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return sse.NewDecoder(resp.Body)
}

// next returns the next event that is not tidemark.open, which it skips.
func next(t *testing.T, d *sse.Decoder) sse.Event {
	t.Helper()
	for {
		ev, err := d.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ev.Type != "tidemark.open" {
			return ev
		}
	}
}

func send(t *testing.T, f *tidemarktest.Feed, m tidemark.Message) tidemark.Ack {
	t.Helper()
	ack, err := f.Publish(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

func TestFeed_OverSockets_ResumesWithoutLoss(t *testing.T) {
	f := tidemarktest.New(t, options())
	srv := httptest.NewServer(f.Feed)
	t.Cleanup(srv.Close)
	t.Cleanup(f.Close) // before the server, which waits for its connections
	position := send(t, f, tidemark.Message{Subject: "n.all", Data: []byte("1")}).Position
	for i := 2; i <= 50; i++ {
		send(t, f, tidemark.Message{User: "42", Data: []byte(strconv.Itoa(i))})
		send(t, f, tidemark.Message{User: "7", Data: []byte("another's")})
	}
	for i := 2; i <= 50; i++ { // a connection for each event
		ev := next(t, get(t, srv.Client(), srv.URL, "42", position))
		if string(ev.Data) != strconv.Itoa(i) {
			t.Fatalf("received %s, want %d", ev.Data, i)
		}
		position = string(ev.ID)
	}
}

func TestFeed_StreamIsTrimmedOrReplaced_SendsGap(t *testing.T) {
	f := tidemarktest.New(t, options())
	first := send(t, f, tidemark.Message{Subject: "n.all", Data: []byte("1")})
	send(t, f, tidemark.Message{Subject: "n.all", Data: []byte("2")})
	last := send(t, f, tidemark.Message{Subject: "n.all", Data: []byte("3")})
	f.Trim(last.Sequence)
	expectGap(t, f, first.Position, "trimmed")
	f.Recreate()
	expectGap(t, f, last.Position, "epoch")
}

// expectGap connects until the deletion is noticed, which takes up to two seconds.
func expectGap(t *testing.T, f *tidemarktest.Feed, position, reason string) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		send(t, f, tidemark.Message{Subject: "n.all", Data: []byte("more")})
		ev := next(t, get(t, f.Client(), "http://feed/", "42", position))
		if ev.Type == "tidemark.gap" && strings.Contains(string(ev.Data), `"`+reason+`"`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no gap %s; the last event is %s %s", reason, ev.Type, ev.Data)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestFeed_IDIsRepeated_IsStoredOnce(t *testing.T) {
	f := tidemarktest.New(t, options())
	one := send(t, f, tidemark.Message{Subject: "n.all", ID: "x"})
	if again := send(t, f, tidemark.Message{Subject: "n.all", ID: "x"}); !again.Duplicate || again.Position != one.Position {
		t.Errorf("%+v behind %+v", again, one)
	}
	if other := send(t, f, tidemark.Message{Subject: "n.all"}); other.Duplicate || send(t, f, tidemark.Message{Subject: "n.all"}).Duplicate {
		t.Errorf("messages without an ID are duplicates")
	}
}

func TestFeed_IsDown_PublishFailsAndConnectionsWait(t *testing.T) {
	f := tidemarktest.New(t, options())
	conn := get(t, f.Client(), "http://feed/", "42", "")
	if ev, err := conn.Next(); err != nil || ev.Type != "tidemark.open" {
		t.Fatalf("%s, %v", ev.Type, err)
	}
	f.SetDown(errors.New("the test pulled the plug"))
	if _, err := f.Publish(t.Context(), tidemark.Message{Subject: "n.all"}); !errors.Is(err, tidemark.ErrUnavailable) {
		t.Errorf("Publish: %v", err)
	}
	f.SetDown(nil)
	send(t, f, tidemark.Message{Subject: "n.all", Data: []byte("back")})
	if ev := next(t, conn); string(ev.Data) != "back" {
		t.Errorf("received %s", ev.Data)
	}
}

// In a bubble a minute of heartbeats and MaxAge take no time.
func TestFeed_InABubble_TimePassesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := options()
		opts.MaxAge = 10 * time.Minute
		f := tidemarktest.New(t, opts)
		begun := time.Now()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://feed/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := f.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		conn := sse.NewDecoder(resp.Body)
		for {
			ev, err := conn.Next()
			if err != nil {
				t.Fatal(err)
			}
			if ev.Type == "tidemark.close" {
				break
			}
		}
		if age := time.Since(begun); age < 9*time.Minute || age > 10*time.Minute {
			t.Errorf("the connection was closed after %s", age)
		}
	})
}

// notice is a handler of a program: a POST request notifies a user.
func notice(f *tidemark.Feed) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := f.Publish(r.Context(), tidemark.Message{User: r.FormValue("to"), Type: "notice"}); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})
}

func TestFeed_InAProgram_ServesItsHandlers(t *testing.T) {
	f := tidemarktest.New(t, options())
	rec := httptest.NewRecorder()
	notice(f.Feed).ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/?to=42", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if ev := next(t, get(t, f.Client(), "http://feed/?from=all", "42", "")); ev.Type != "notice" {
		t.Errorf("received %q", ev.Type)
	}
}
