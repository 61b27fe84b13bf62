package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/msgheader"
	"github.com/tidemark/tidemark/internal/server"
	"github.com/tidemark/tidemark/pkg/sse"
)

const job, otherJob = "notifications.topic.job7", "notifications.topic.job8"

// untilEnd is the path of a connection that ends with its subjects.
func untilEnd(subjects ...string) string {
	return "/events?until=end&subject=" + strings.Join(subjects, "&subject=")
}

// end stores an event that completes its subject, and returns its sequence.
func (r *harness) end(subject, data string) uint64 {
	r.t.Helper()
	ack, err := r.js.PublishMsg(r.t.Context(), &nats.Msg{Subject: subject, Data: []byte(data), Header: nats.Header{msgheader.End: {msgheader.EndValue}}})
	if err != nil {
		r.t.Fatal(err)
	}
	return ack.Sequence
}

// ended is a complete response: the data of its events, with control events as "type reason", and the last id.
type ended struct {
	status int
	events []string
	last   string
}

// read reads a response to its end, which must be a normal one.
func (r *harness) read(path string, header ...string) (got ended) {
	r.t.Helper()
	resp, body := r.request(http.MethodGet, r.base+path, "", header...)
	return r.parse(resp, body)
}

func (r *harness) parse(resp *http.Response, body []byte) (got ended) {
	r.t.Helper()
	got.status = resp.StatusCode
	if resp.StatusCode != http.StatusOK {
		if len(body) > 0 && resp.StatusCode == http.StatusNoContent {
			r.t.Errorf("204 with the body %q", body)
		}
		return got
	}
	for dec := sse.NewDecoder(bytes.NewReader(body)); ; {
		ev, err := dec.Next()
		if err == io.EOF {
			got.last = dec.LastEventID()
			return got
		}
		if err != nil {
			r.t.Fatal(err)
		}
		got.events = append(got.events, shortEvent(ev))
	}
}

// shortEvent is the data of an event, or the type and the reason of a control event.
func shortEvent(ev sse.Event) string {
	switch ev.Type {
	case "tidemark.gap", "tidemark.close":
		return ev.Type + " " + field(ev.Data, "reason")
	case "":
		return string(ev.Data)
	}
	return ev.Type
}

// completes reads a response that must deliver events and end as complete, and returns the last id.
func (r *harness) completes(path, id string, events ...string) (last string) {
	r.t.Helper()
	got := r.read(path, withID(id)...)
	want := append(append([]string{"tidemark.open"}, events...), "tidemark.close complete")
	if got.status != http.StatusOK || !slices.Equal(got.events, want) {
		r.t.Fatalf("%s after %q: %d %q, want %q", path, id, got.status, got.events, want)
	}
	return got.last
}

// rest reads the events up to the end of the connection.
func (l *listener) rest() (events []string) {
	l.t.Helper()
	for timeout := time.After(20 * time.Second); ; {
		select {
		case ev, more := <-l.events:
			if !more {
				return events
			}
			events = append(events, shortEvent(ev))
		case <-timeout:
			l.t.Fatalf("the connection does not end; it has received %q", events)
		}
	}
}

func withID(id string) []string {
	if id == "" {
		return nil
	}
	return []string{"Last-Event-ID", id}
}

// answers204 sends a reconnect behind the ends of all subjects.
func (r *harness) answers204(path, id string) {
	r.t.Helper()
	if got := r.read(path, withID(id)...); got.status != http.StatusNoContent {
		r.t.Fatalf("%s after %q: %d %q, want 204", path, id, got.status, got.events)
	}
}

// level waits until the node has read everything that is stored.
func (r *harness) level() {
	r.t.Helper()
	var last uint64
	info, err := r.stream().Info(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	last = info.State.LastSeq
	r.eventually("the node has read all events", func() bool {
		l := r.listen("/events", "")
		defer l.cancel()
		return number(l.next().ID) >= int(last)
	})
}

// smallWindow leaves one event of the stream in memory.
func smallWindow(o *server.Options) { o.Window.Events = 1 }

// fill stores events of another subject until the window has no other.
func (r *harness) fill() {
	r.t.Helper()
	r.publish("notifications.broadcast", 1, 3)
	r.level()
}

func TestUntilEnd_EndInTheWindow_CompletesAndAnswers204(t *testing.T) {
	r := newHarness(t, nil)
	r.publish(job, 1, 3)
	r.publish("notifications.broadcast", 1, 1) // no event of these connections
	r.end(job, "end")
	r.level()
	last := r.completes(untilEnd(job), "", "1", "2", "3", "end")
	r.answers204(untilEnd(job), last)
	middle := "2-" + strings.SplitN(last, "-", 2)[1]
	r.completes(untilEnd(job), middle, "3", "end")
	r.completes(untilEnd(job)+"&from=last", "", "end")
	r.completes(untilEnd(job)+"&from=new", "")
	r.completes(untilEnd(job)+"&from=3", "", "3", "end")
	r.answers204(untilEnd(job)+"&last_event_id="+last, "")
	r.publish("notifications.broadcast", 2, 2)
	r.level()
	r.answers204(untilEnd(job), last)
}

// The response over HTTP/2 also ends normally, and the status 204 is the same.
func TestUntilEnd_HTTP2_CompletesAndAnswers204(t *testing.T) {
	r := newHarness(t, nil)
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	get := func(id string) ended {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.base+untilEnd(job), nil)
		if err != nil {
			t.Fatal(err)
		}
		if id != "" {
			req.Header.Set("Last-Event-ID", id)
		}
		resp, err := (&http.Client{Transport: tr}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.ProtoMajor != 2 {
			t.Fatalf("%s ended with %v", resp.Proto, err)
		}
		return r.parse(resp, body)
	}
	r.publish(job, 1, 2)
	r.end(job, "end")
	got := get("")
	if want := []string{"tidemark.open", "1", "2", "end", "tidemark.close complete"}; !slices.Equal(got.events, want) {
		t.Fatalf("received %q, want %q", got.events, want)
	}
	if again := get(got.last); again.status != http.StatusNoContent {
		t.Errorf("a reconnect behind the end: %d %q", again.status, again.events)
	}
}

// Events come live, and the end with them.
func TestUntilEnd_Live_CompletesWithTheEnd(t *testing.T) {
	r := newHarness(t, nil)
	l := r.listen(untilEnd(job), "") // a subject without events is open
	l.want("tidemark.open")
	r.publish(job, 1, 2)
	l.want("1", "2")
	r.end(job, "end")
	l.want("end", "tidemark.close")
	if _, more := <-l.events; more {
		t.Error("an event after tidemark.close")
	}
}

// Nothing of the subjects is in the window: the ends are looked up in the store.
func TestUntilEnd_EndOnlyInTheStore_CompletesAndAnswers204(t *testing.T) {
	r := newHarness(t, smallWindow)
	r.publish(job, 1, 2)
	r.end(job, "end")
	r.publish(otherJob, 1, 1)
	r.fill()
	last := r.completes(untilEnd(job), "", "1", "2", "end")
	r.answers204(untilEnd(job), last)
	r.completes(untilEnd(job)+"&from=new", "")
	open := r.listen(untilEnd(job, otherJob)+"&from=new", "")
	open.want("tidemark.open")
	r.end(otherJob, "other end")
	open.want("other end", "tidemark.close")
	r.fill()
	r.completes(untilEnd(job, otherJob)+"&from=new", "")
}

func TestUntilEnd_OneSubjectIsOpen_WaitsForIt(t *testing.T) {
	for name, change := range map[string]func(*server.Options){"window": nil, "store": smallWindow} {
		t.Run(name, func(t *testing.T) {
			r := newHarness(t, change)
			r.publish(job, 1, 1)
			r.end(job, "end")
			r.publish(otherJob, 2, 2)
			r.fill()
			l := r.listen(untilEnd(job, otherJob), "")
			l.want("tidemark.open", "1", "end", "2")
			behind := r.listen(untilEnd(job, otherJob), l.last) // behind the end of one of them
			behind.want("tidemark.open")
			r.publish(otherJob, 3, 3)
			l.want("3")
			behind.want("3")
			r.end(otherJob, "other end")
			l.want("other end", "tidemark.close")
			behind.want("other end", "tidemark.close")
		})
	}
}

func TestUntilEnd_PublishedAfterTheEnd_OpensTheSubject(t *testing.T) {
	for name, change := range map[string]func(*server.Options){"window": nil, "store": smallWindow} {
		t.Run(name, func(t *testing.T) {
			r := newHarness(t, change)
			r.end(job, "end")
			r.fill()
			last := r.completes(untilEnd(job), "", "end")
			r.publish(job, 1, 1)
			r.fill()
			l := r.listen(untilEnd(job), last)
			l.want("tidemark.open", "1")
			r.end(job, "second end")
			l.want("second end", "tidemark.close")
			r.fill()
			r.answers204(untilEnd(job), r.completes(untilEnd(job), last, "1", "second end"))
		})
	}
}

// A deleted end is a gap for clients that have not received it, and their connection stays open until max_idle.
func TestUntilEnd_EndIsDeleted_StaysOpenUntilMaxIdle(t *testing.T) {
	for name, change := range map[string]func(*server.Options){"window": nil, "store": smallWindow} {
		t.Run(name, func(t *testing.T) {
			r := newHarness(t, func(o *server.Options) {
				o.SSE.MaxIdle = 3 * time.Second
				if change != nil {
					change(o)
				}
			})
			r.publish(job, 1, 2)
			l := r.listen(untilEnd(job), "")
			l.want("tidemark.open", "1", "2")
			id := l.last
			l.cancel()
			seq := r.end(job, "end")
			r.publish(otherJob, 1, 1) // a deletion at the end of a stream would not be a gap in its inside
			if err := r.stream().DeleteMsg(t.Context(), seq); err != nil {
				t.Fatal(err)
			}
			r.fill()
			r.eventually("the node has noticed", func() bool {
				l := r.listen(untilEnd(job), id)
				defer l.cancel()
				l.want("tidemark.open")
				return l.next().Type == "tidemark.gap"
			})
			behind := r.listen(untilEnd(job), id)
			behind.want("tidemark.open")
			events := behind.rest()
			if want := []string{"tidemark.gap possible", "tidemark.close idle"}; !slices.Equal(events, want) {
				t.Errorf("behind a deleted end: %q, want %q", events, want)
			}
		})
	}
}

func TestUntilEnd_SubjectIsPurged_IsOpen(t *testing.T) {
	r := newHarness(t, smallWindow)
	r.publish(job, 1, 1)
	r.end(job, "end")
	last := r.completes(untilEnd(job), "", "1", "end")
	if err := r.stream().Purge(t.Context(), jetstream.WithPurgeSubject(job)); err != nil {
		t.Fatal(err)
	}
	r.fill()
	l := r.listen(untilEnd(job), last)
	l.want("tidemark.open")
	r.publish(job, 2, 2)
	r.end(job, "second end")
	l.want("2", "second end", "tidemark.close")
}

func TestUntilEnd_EndExpires_IsOpen(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { o.Streams[0].MaxAge = 2 * time.Second; o.Streams[0].Duplicates = time.Second })
	r.end(job, "end")
	last := r.completes(untilEnd(job), "", "end")
	r.eventually("the end expires", func() bool {
		info, err := r.stream().Info(t.Context())
		return err == nil && info.State.Msgs == 0
	})
	r.eventually("the subject is open", func() bool {
		resp, err := http.DefaultClient.Do(request(t, r.base+untilEnd(job), last))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	l := r.listen(untilEnd(job), last)
	l.want("tidemark.open")
	r.end(job, "second end")
	l.want("second end", "tidemark.close")
}

func request(t *testing.T, url, id string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", id)
	return req
}

// The stream keeps the end alone.
func TestUntilEnd_OneMessagePerSubject_Completes(t *testing.T) {
	for name, change := range map[string]func(*server.Options){"window": nil, "store": smallWindow} {
		t.Run(name, func(t *testing.T) {
			r := newHarness(t, func(o *server.Options) {
				o.Streams[0].MaxMsgsPerSubject = 1
				if change != nil {
					change(o)
				}
			})
			r.publish(job, 1, 3)
			r.end(job, "end")
			r.fill()
			last := r.completes(untilEnd(job), "", "end")
			r.answers204(untilEnd(job), last)
			r.publish(job, 4, 4) // it replaces the end
			r.fill()
			l := r.listen(untilEnd(job), last)
			l.want("tidemark.open")
			r.end(job, "second end")
			// The event before it may have left the stream, which is a gap.
			events := slices.DeleteFunc(l.rest(), func(ev string) bool { return ev == "4" || strings.HasPrefix(ev, "tidemark.gap ") })
			if want := []string{"second end", "tidemark.close complete"}; !slices.Equal(events, want) {
				t.Errorf("after the subject was opened again: %q, want %q", events, want)
			}
		})
	}
}

// Ends of a former stream have no effect on the stream that replaces it.
func TestUntilEnd_StreamIsRecreated_StartsAgain(t *testing.T) {
	r := newHarness(t, nil)
	r.end(job, "end")
	r.publish(otherJob, 1, 1)
	last := r.completes(untilEnd(job), "", "end")
	live := r.listen(untilEnd(job, otherJob), "")
	live.want("tidemark.open", "end", "1")
	r.deleteStream()
	if _, err := r.js.CreateStream(t.Context(), testStream()); err != nil {
		t.Fatal(err)
	}
	live.want("tidemark.gap epoch")
	r.end(otherJob, "other end")
	live.want("other end") // the first subject has no event any more
	behind := r.listen(untilEnd(job), last)
	behind.want("tidemark.open", "tidemark.gap epoch")
	r.end(job, "second end")
	live.want("second end", "tidemark.close")
	behind.want("second end", "tidemark.close")
}

// A mirror that has not reached the position of a client answers once it has.
func TestUntilEnd_Mirror_CompletesOnceItHasTheEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("slow; skipped with -short")
	}
	hub, leaf := regions(t, mirrorDefinition, nil)
	hub.publish(job, 1, 2)
	hub.end(job, "end")
	last := hub.completes(untilEnd(job), "", "1", "2", "end")
	// The mirror may be behind: then the answer is a connection that ends as complete.
	for try := 0; ; try++ {
		got := leaf.read(untilEnd(job), "Last-Event-ID", last)
		if got.status == http.StatusNoContent {
			t.Logf("204 after %d connections", try)
			break
		}
		if want := []string{"tidemark.open", "tidemark.close complete"}; !slices.Equal(got.events, want) {
			t.Fatalf("the mirror sends %q, want %q", got.events, want)
		}
	}
	leaf.completes(untilEnd(job), "", "1", "2", "end")
}

// Clients of two nodes read a subject that is ended and opened again many times, and reconnect after each end.
// Each client receives every event once, and stops at the last end.
func TestUntilEnd_PublishedDuringEnds_EveryClientReceivesEveryEvent(t *testing.T) {
	const events, clients = 600, 12
	r := newHarness(t, nil)
	opts := options(t, r.nc.ConnectedUrl())
	opts.Window.Events = 4
	second := startNode(t, opts)
	second.connect(r.nc.ConnectedUrl())
	second.awaitReady()
	nodes := []*harness{r, second}
	var stored atomic.Bool
	var work sync.WaitGroup
	work.Go(func() {
		rng := rand.New(rand.NewPCG(1, 1))
		for i := 1; i <= events; i++ {
			if i == events || rng.IntN(4) == 0 {
				r.end(job, fmt.Sprint(i))
			} else {
				r.publish(job, i, i)
			}
		}
		stored.Store(true)
	})
	var connections, empty atomic.Int64
	for c := range clients {
		work.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			due, id := 1, ""
			for n := c; ctx.Err() == nil; n++ {
				finished := stored.Load()
				got := nodes[n%2].read(untilEnd(job), withID(id)...)
				connections.Add(1)
				if got.status == http.StatusNoContent {
					empty.Add(1)
					if finished && due > events {
						return
					}
					continue
				}
				for _, ev := range got.events[1 : len(got.events)-1] {
					if ev != fmt.Sprint(due) {
						t.Errorf("client %d received %q, want %d", c, ev, due)
						return
					}
					due++
				}
				id = got.last
			}
			t.Errorf("client %d has the events before %d", c, due)
		})
	}
	work.Wait()
	t.Logf("%d connections, %d of them answered 204", connections.Load(), empty.Load())
}

// Invalid requests are rejected with the reason.
func TestUntilEnd_InvalidRequests_AreRejected(t *testing.T) {
	r := newHarness(t, nil)
	for path, want := range map[string]string{
		"/events?until=end":                                                  "name at least one",
		"/events?until=end&only=1":                                           "name at least one",
		"/events?until=end&subject=notifications.topic.*":                    "wildcard",
		"/events?until=end&subject=notifications.topic.%3E":                  "wildcard",
		"/events?until=end&subject=" + job + "&subject=notifications.city.*": "wildcard",
		"/events?until=complete&subject=" + job:                              "the only value is",
	} {
		resp, body := r.request(http.MethodGet, r.base+path, "")
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s %s, want 400 with %q", path, resp.Status, body, want)
		}
	}
}
