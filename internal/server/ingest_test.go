package server_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemark/tidemark/internal/server"
)

// ingestResult is the answer to an event stream.
type ingestResult struct {
	Stored     int    `json:"stored"`
	Duplicates int    `json:"duplicates"`
	FirstSeq   uint64 `json:"first_seq"`
	LastSeq    uint64 `json:"last_seq"`
	Ended      bool   `json:"ended"`
}

// ingest posts a body as an event stream.
func (r *harness) ingest(subject string, body io.Reader, key string) (status int, result ingestResult, err error) {
	req, err := http.NewRequest(http.MethodPost, r.base+"/publish/"+subject, body)
	if err != nil {
		return 0, result, err
	}
	req.Header.Set("Content-Type", "text/event-stream")
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, result, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, result, json.NewDecoder(resp.Body).Decode(&result)
}

// generation writes numbered events, each after next has returned, and the terminator.
func generation(n int, next func(i int)) io.Reader {
	body, writer := io.Pipe()
	go func() {
		for i := range n {
			next(i)
			_, _ = fmt.Fprintf(writer, "data: %d\n\n", i)
		}
		_, _ = io.WriteString(writer, "data: [DONE]\n\n")
		_ = writer.Close()
	}()
	return body
}

// wantGeneration checks that the stream has the events of one generation in order, and its end.
func (r *harness) wantGeneration(n int) {
	r.t.Helper()
	for seq := uint64(1); seq <= uint64(n)+1; seq++ {
		msg, err := r.stream().GetMsg(r.t.Context(), seq)
		if err != nil {
			r.t.Fatalf("message %d: %v", seq, err)
		}
		want, end := strconv.Itoa(int(seq)-1), ""
		if seq == uint64(n)+1 {
			want, end = "[DONE]", "1"
		}
		if string(msg.Data) != want || msg.Header.Get("Tidemark-End") != end {
			r.t.Fatalf("message %d is %q with Tidemark-End %q, want %q", seq, msg.Data, msg.Header.Get("Tidemark-End"), want)
		}
	}
	info, err := r.stream().Info(r.t.Context())
	if err != nil || info.State.Msgs != uint64(n)+1 {
		r.t.Errorf("stored %d messages, want %d; %v", info.State.Msgs, n+1, err)
	}
}

// A body may last longer than the timeout of other bodies. Clients receive each event as it arrives.
func TestIngest_LongerThanBodyTimeout_IsStoredAndDelivered(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { o.HTTP.BodyTimeout = 200 * time.Millisecond })
	l := r.listen("/events?subject=notifications.topic.run", "")
	l.want("tidemark.open")
	const n = 10
	body := generation(n, func(i int) {
		if i > 0 {
			l.want(strconv.Itoa(i - 1)) // while the body is open
			time.Sleep(50 * time.Millisecond)
		}
	})
	status, result, err := r.ingest("notifications.topic.run", body, "k")
	if err != nil || status != http.StatusOK || (result != ingestResult{Stored: n + 1, FirstSeq: 1, LastSeq: n + 1, Ended: true}) {
		t.Fatalf("%d %+v, %v", status, result, err)
	}
	r.wantGeneration(n)
	status, result, err = r.ingest("notifications.topic.run", generation(n, func(int) {}), "k")
	if err != nil || status != http.StatusOK || (result != ingestResult{Duplicates: n + 1, FirstSeq: 1, LastSeq: n + 1, Ended: true}) {
		t.Errorf("repeated: %d %+v, %v", status, result, err)
	}
	r.wantGeneration(n)
}

// Neither the restart nor the repeated attempts lose, double or exchange an event.
func TestIngest_NATSRestarts_IsStoredOnceAndInOrder(t *testing.T) {
	addr, dir := freeAddr(t), t.TempDir()
	url, stopNATS := startNATS(t, addr, dir)
	r := startNode(t, options(t, url))
	r.connect(url)
	r.awaitReady()
	const n = 300
	restarted := make(chan struct{})
	body := generation(n, func(i int) {
		if i == 100 {
			go func() {
				defer close(restarted)
				stopNATS()
				startNATS(t, addr, dir)
			}()
		}
	})
	status, result, err := r.ingest("notifications.topic.run", body, "")
	<-restarted
	if err != nil || status != http.StatusOK || result.Stored+result.Duplicates != n+1 || !result.Ended {
		t.Fatalf("%d %+v, %v", status, result, err)
	}
	r.awaitReady()
	r.wantGeneration(n)
}

// The stream rejects one event; events after it must not be stored.
func TestIngest_StreamRejectsAnEvent_StoresAPrefix(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { o.Streams[0].MaxMsgSize = 1000 })
	body, writer := io.Pipe()
	go func() {
		_, _ = fmt.Fprintf(writer, "data: 0\n\ndata: %2000d\n\ndata: 2\n\n", 1)
		_ = writer.Close()
	}()
	status, _, err := r.ingest("notifications.topic.run", body, "k")
	if err != nil || status != http.StatusRequestEntityTooLarge {
		t.Errorf("%d, %v", status, err)
	}
	if info, err := r.stream().Info(t.Context()); err != nil || info.State.Msgs != 1 {
		t.Errorf("%+v, %v", info.State, err)
	}
}

func TestIngest_Concurrently_EachSubjectIsInOrder(t *testing.T) {
	r := newHarness(t, nil)
	var all sync.WaitGroup
	const bodies, n = 8, 100
	for b := range bodies {
		all.Go(func() {
			if status, result, err := r.ingest(fmt.Sprintf("notifications.topic.run%d", b), generation(n, func(int) {}), "k"); err != nil || status != http.StatusOK || result.Stored != n+1 {
				t.Errorf("%d %+v, %v", status, result, err)
			}
		})
	}
	all.Wait()
	consumer, err := r.stream().OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := consumer.FetchNoWait(bodies * (n + 1))
	if err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for msg := range batch.Messages() {
		if i := next[msg.Subject()]; i < n && string(msg.Data()) != strconv.Itoa(i) {
			t.Fatalf("%s: %q, want %d", msg.Subject(), msg.Data(), i)
		}
		next[msg.Subject()]++
	}
	if len(next) != bodies {
		t.Errorf("subjects: %v", next)
	}
}

func TestIngest_NodeStops_AnswersWithTheStoredPart(t *testing.T) {
	r := newHarness(t, func(o *server.Options) { o.HTTP.ShutdownTimeout = 2 * time.Second })
	body, writer := io.Pipe()
	t.Cleanup(func() { _ = writer.Close() })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_, _ = io.WriteString(writer, "data: 0\n\n")
		r.eventually("the first event is stored", func() bool {
			info, err := r.stream().Info(t.Context())
			return err == nil && info.State.Msgs == 1
		})
		r.stop()
	}()
	req, err := http.NewRequest(http.MethodPost, r.base+"/publish/notifications.topic.run?end=1", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Code   string       `json:"code"`
		Ingest ingestResult `json:"ingest"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusServiceUnavailable || answer.Code != "unavailable" || answer.Ingest.Stored != 1 || answer.Ingest.Ended {
		t.Errorf("%s %+v, %v", resp.Status, answer, err)
	}
	<-stopped
}

// Reads of a body have deadlines of their own on every kind of connection.
func TestIngest_OverTLS_OutlastsBodyTimeout(t *testing.T) {
	eachEngine(t, func(t *testing.T) {
		r := newTLSRig(t, func(o *server.Options) {
			o.HTTP.BodyTimeout, o.Publish.IdleTimeout = 200*time.Millisecond, time.Minute
		})
		for proto, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
			protocols := new(http.Protocols)
			protocols.SetHTTP1(!http2)
			protocols.SetHTTP2(http2)
			client := &http.Client{Transport: &http.Transport{
				Protocols: protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
			}}
			t.Cleanup(client.CloseIdleConnections)
			body := generation(4, func(int) { time.Sleep(100 * time.Millisecond) })
			req, err := http.NewRequest(http.MethodPost, "https"+strings.TrimPrefix(r.base, "http")+"/publish/notifications.topic.run", body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "text/event-stream")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatalf("%s: %v", proto, err)
			}
			var result ingestResult
			err = json.NewDecoder(resp.Body).Decode(&result)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK || resp.Proto != proto || result.Stored != 5 || !result.Ended {
				t.Errorf("%s: %s over %s, %+v, %v", proto, resp.Status, resp.Proto, result, err)
			}
		}
	})
}

// The first events have left the duplicate window of the stream when the body is repeated, and later ones have not.
func TestIngest_RepeatAfterTheDuplicateWindow_IsRefusedAtTheFirstDuplicate(t *testing.T) {
	const window = 4 * time.Second
	r := newHarness(t, func(o *server.Options) { o.Streams[0].Duplicates = window })
	const subject = "notifications.topic.run"
	body, writer := io.Pipe()
	type answered struct {
		status int
		result ingestResult
		err    error
	}
	answers := make(chan answered, 1)
	go func() {
		status, result, err := r.ingest(subject, body, "k")
		answers <- answered{status, result, err}
	}()
	_, _ = io.WriteString(writer, "data: a\n\ndata: b\n\n")
	r.awaitForgotten(subject, 2)
	_, _ = io.WriteString(writer, "data: c\n\ndata: d\n\n")
	_ = writer.Close()
	if first := <-answers; first.err != nil || first.status != http.StatusOK || first.result.Stored != 4 {
		t.Fatalf("%+v", first)
	}
	repeat := strings.NewReader("data: a\n\ndata: b\n\ndata: c\n\ndata: d\n\ndata: [DONE]\n\n")
	req, _ := http.NewRequest(http.MethodPost, r.base+"/publish/"+subject, repeat)
	req.Header.Set("Content-Type", "text/event-stream")
	req.Header.Set("Idempotency-Key", "k")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Code, Detail string
		Ingest       ingestResult
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusConflict || answer.Code != "conflict" || answer.Ingest.Stored != 2 || answer.Ingest.Duplicates != 0 || answer.Ingest.Ended {
		t.Errorf("repeated: %d %+v", resp.StatusCode, answer)
	}
	for _, part := range []string{"event 2 is a duplicate", "duplicate window (4s)", "NOTIFICATIONS", "new key and another subject", "longer duplicate_window", "2 events are stored"} {
		if !strings.Contains(answer.Detail, part) {
			t.Errorf("the detail lacks %q: %s", part, answer.Detail)
		}
	}
	if last, err := r.stream().GetLastMsgForSubject(t.Context(), subject); err != nil || string(last.Data) != "b" {
		t.Errorf("the last message is %+v, %v; want the b that was stored again", last, err)
	}
}

// awaitForgotten returns when the subject has n messages, and their ids are no longer duplicates.
func (r *harness) awaitForgotten(subject string, n uint64) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	for stored := uint64(0); stored < n; time.Sleep(20 * time.Millisecond) {
		info, err := r.stream().Info(ctx, jetstream.WithSubjectFilter(subject))
		if err != nil {
			r.t.Fatal(err)
		}
		stored = info.State.Subjects[subject]
	}
	for probes := 1; ; probes++ {
		ack, err := r.js.Publish(ctx, "notifications.topic.probe", nil, jetstream.WithMsgID("probe"))
		if err != nil {
			r.t.Fatal(err)
		}
		if !ack.Duplicate && probes > 1 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
