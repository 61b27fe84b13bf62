package feedhttp_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidemark/tidemark/internal/feedhttp"
)

// forwarded is a harness whose client is a trusted proxy.
func forwarded(t *testing.T, proto string, limits feedhttp.Limits) (*harness, *feedhttp.Admission) {
	t.Helper()
	a := feedhttp.NewAdmission(limits, netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	return newHarness(t, setup{proto: proto, opts: feedhttp.SubscribeOptions{Admission: a, RetryLater: time.Minute}}), a
}

func TestConnectRate_Exceeded_Rejects(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		for !connectRate(t, proto) {
			t.Log("this machine is too busy for six requests in a second")
		}
	})
}

// connectRate reports false where so much time went by that the address may ask again.
func connectRate(t *testing.T, proto string) bool {
	t.Helper()
	r, a := forwarded(t, proto, feedhttp.Limits{ConnectsPerSecond: 1, ConnectsBurst: 3})
	from := func(addr string) []string { return []string{"X-Forwarded-For", addr} }
	healthy, _ := r.opened(t, "", from("192.0.2.1")...)
	begun := time.Now()
	for range 2 {
		r.opened(t, "", from("192.0.2.2")...)
	}
	// Refused requests count, too: guessing is slowed down.
	if resp, _ := r.answer(t, http.MethodGet, "/events?from=yesterday", from("192.0.2.2")...); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("within the burst: %s", resp.Status)
	}
	away, err1 := r.connect("?from=yesterday", from("192.0.2.2")...)
	quiet, err2 := r.connect("?control=off", from("192.0.2.2")...)
	for _, s := range []*stream{away, quiet} {
		if s != nil {
			defer s.resp.Body.Close()
		}
	}
	head, body := r.answer(t, http.MethodHead, "/events", from("192.0.2.2")...)
	if time.Since(begun) >= time.Second {
		return false
	}
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	readRejection(t, away, feedhttp.CloseLimit)
	if _, err := quiet.Next(); err == nil || len(quiet.comments) == 0 || !strings.Contains(quiet.comments[len(quiet.comments)-1], `"limit"`) {
		t.Errorf("with control=off: %v, comments %q", err, quiet.comments)
	}
	if head.StatusCode != http.StatusOK || body != "" {
		t.Errorf("HEAD: %s %q", head.Status, body)
	}
	r.opened(t, "", from("192.0.2.3")...)
	r.publish(1, "n.all")
	healthy.want(t, "1-e1")
	if got := a.Refused(); got[feedhttp.RefusedConnectRate] != 3 || got[feedhttp.RefusedPerAddress] != 0 {
		t.Errorf("counted %v", got)
	}
	return true
}

func TestPerAddress_TrustedProxy_CountsTheClient(t *testing.T) {
	r, a := forwarded(t, "", feedhttp.Limits{PerAddress: 1})
	r.opened(t, "", "X-Forwarded-For", "192.0.2.1")
	r.opened(t, "", "X-Forwarded-For", "192.0.2.2")
	r.opened(t, "", "X-Forwarded-For", "2001:db8::1")
	readRejection(t, r.subscribe(t, "", "X-Forwarded-For", "192.0.2.9, 192.0.2.1"), feedhttp.CloseLimit)
	readRejection(t, r.subscribe(t, "", "X-Forwarded-For", "2001:db8::2"), feedhttp.CloseLimit)
	if got := a.Refused(); got[feedhttp.RefusedPerAddress] != 2 || got[feedhttp.RefusedConnections] != 0 {
		t.Errorf("counted %v", got)
	}
}

func TestPublishRate_Exceeded_Refuses(t *testing.T) {
	for !publishRate(t) {
		t.Log("this machine is too busy for three requests in a second")
	}
}

// publishRate reports false where so much time went by that the address may publish again.
func publishRate(t *testing.T) bool {
	t.Helper()
	begun := time.Now()
	a := feedhttp.NewAdmission(feedhttp.Limits{PublishesPerSecond: 1, PublishesBurst: 5})
	d := newDesk(t, publishing, feedhttp.PublishOptions{Admission: a})
	batch := func(n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(`{"subject":"n.a","data":"x"},`, n), ",") + "]"
	}
	if resp, text := d.post(t, batch(4)); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, text)
	}
	if n := len(d.taken()); n != 4 {
		t.Fatalf("%d events are stored", n)
	}
	resp, text := d.post(t, batch(4))
	p := decodeProblem(t, resp, text)
	wait, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if p.Status != http.StatusTooManyRequests || !strings.Contains(p.Detail, "limits.publishes_per_second") || err != nil || wait < 1 || wait > 5 {
		t.Errorf("%+v, Retry-After %q", p, resp.Header.Get("Retry-After"))
	}
	again, text := d.post(t, "not even JSON")
	if time.Since(begun) >= time.Second {
		return false
	}
	if p := decodeProblem(t, again, text); p.Status != http.StatusTooManyRequests || !strings.Contains(p.Detail, "faster than 1 events a second") {
		t.Errorf("%+v", p)
	}
	if n := len(d.taken()); n != 0 {
		t.Errorf("%d events of what was refused are stored", n)
	}
	if got := a.Refused()[feedhttp.RefusedPublishRate]; got != 2 {
		t.Errorf("counted %d", got)
	}
	return true
}

func TestQuery_TooLong_IsRefused(t *testing.T) {
	eachProtocol(t, func(t *testing.T, proto string) {
		r := newHarness(t, setup{proto: proto})
		healthy, _ := r.opened(t, "")
		fill := func(n int) string { return "pad=" + strings.Repeat("x", n-len("pad=")) }
		r.opened(t, "?"+fill(feedhttp.MaxQuery))
		for _, n := range []int{feedhttp.MaxQuery + 1, 15 << 10, 40 << 10} {
			resp, text := r.answer(t, http.MethodGet, "/events?"+fill(n))
			if p := decodeProblem(t, resp, text); p.Status != http.StatusBadRequest || !strings.Contains(p.Detail, "the query has "+strconv.Itoa(n)) {
				t.Errorf("%d bytes: %+v", n, p)
			}
		}
		// A long id is invalid from each source, and is returned in part.
		long := strings.Repeat("9", 6<<10)
		for _, s := range []*stream{r.subscribe(t, "", "Last-Event-ID", long), r.subscribe(t, "?last_event_id="+long)} {
			s.control(t, feedhttp.TypeOpen, new(feedhttp.OpenEvent))
			var gap feedhttp.GapEvent
			if s.control(t, feedhttp.TypeGap, &gap); gap.Reason != "malformed" || len(gap.Requested) > 128 {
				t.Errorf("gap %+v", gap)
			}
		}
		r.publish(1, "n.all")
		healthy.want(t, "1-e1")
	})
	d := newDesk(t, publishing, feedhttp.PublishOptions{})
	resp, err := d.Client().Post(d.URL+"?"+strings.Repeat("x", feedhttp.MaxQuery+1), "", strings.NewReader(`{"subject":"n.a","data":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest || len(d.taken()) != 0 {
		t.Errorf("publish with a long query: %s", resp.Status)
	}
}

// The connection is closed, too.
func TestBody_TooSlow_IsRefused(t *testing.T) {
	d := newDesk(t, publishing, feedhttp.PublishOptions{BodyTimeout: 200 * time.Millisecond})
	c, err := net.Dial("tcp", d.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(waitTimeout))
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n{")
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	if p := decodeProblem(t, resp, string(text)); p.Status != http.StatusRequestTimeout {
		t.Errorf("%+v", p)
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("the connection goes on: %v", err)
	}
	// The deadline is the body's alone: neither the answer nor the next request meets it.
	kept, err := net.Dial("tcp", d.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	_ = kept.SetDeadline(time.Now().Add(waitTimeout))
	br = bufio.NewReader(kept)
	const body = `{"subject":"n.a","data":"x"}`
	for range 2 {
		fmt.Fprintf(kept, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%v %v", resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		time.Sleep(300 * time.Millisecond) // longer than a body may take
	}
}
