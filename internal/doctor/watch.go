package doctor

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// arrival is a part of the response, or its end.
type arrival struct {
	text string
	err  error
}

// arrivals reads the response until it ends or its context ends.
func (v *visit) arrivals(ctx context.Context) <-chan arrival {
	parts := make(chan arrival)
	go func() {
		defer close(parts)
		body, err := decoded(v.resp)
		buf := make([]byte, 16<<10)
		for {
			n := 0
			if err == nil {
				n, err = body.Read(buf)
			}
			select {
			case parts <- arrival{string(buf[:n]), err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return parts
}

func decoded(resp *http.Response) (io.Reader, error) {
	if resp.Header.Get("Content-Encoding") == "gzip" {
		return gzip.NewReader(resp.Body)
	}
	return resp.Body, nil
}

// watch waits for the opening event, for its own event if it may publish one, and for the heartbeat.
func (v *visit) watch(ctx context.Context, event *testEvent) {
	ctx, cancel := context.WithCancel(ctx)
	parts := v.arrivals(ctx)
	defer func() {
		cancel()
		_ = v.resp.Body.Close()
		for range parts { // until the reader has ended
		}
	}()
	text, ended, err := await(ctx, parts, promptly, "tidemark.open", "tidemark.close")
	switch {
	case strings.Contains(text, "tidemark.close"):
		v.problem("limits, and /readyz of the node", "the node closed the connection: %s", shorten(text[strings.Index(text, "tidemark.close"):]))
		return
	case strings.Contains(text, "no node answers"):
		v.problem("start a node; the proxy's upstream must be http.addr", "the proxy cannot connect to a node")
		return
	case ended:
		v.problem("the log of the proxy and of the node", "the response ended before its first byte: %v", err)
		return
	case !strings.Contains(text, "tidemark.open"):
		v.problem(bufferingOff, "the proxy buffers the response: the head of the response arrived, but no event within %s", promptly)
		return
	}
	v.ok("the first event arrived %s after the request, over %s", time.Since(v.begun).Round(time.Millisecond), v.resp.Proto)
	if event != nil && !v.awaitEvent(ctx, parts, event) {
		return
	}
	v.awaitHeartbeat(ctx, parts)
}

// maxCollected limits the stored part of a response while waiting for text. A response of another server
// may be of any size.
const maxCollected = 64 << 10

// collected is the last part of the received text.
type collected struct {
	marks []string // the awaited texts; without any, the first byte is awaited
	text  []byte   // at most twice maxCollected, to move it rarely
}

// add reports whether one of the marks has arrived. It searches each byte once, plus the overlap for a
// mark across two parts.
func (c *collected) add(part string) bool {
	overlap := 0
	for _, mark := range c.marks {
		overlap = max(overlap, len(mark))
	}
	from := max(0, len(c.text)-overlap)
	c.text = append(c.text, part...)
	recent := c.text[from:]
	found := len(c.marks) == 0 && part != "" ||
		slices.ContainsFunc(c.marks, func(mark string) bool { return bytes.Contains(recent, []byte(mark)) })
	if len(c.text) > 2*maxCollected {
		c.text = append(c.text[:0], c.text[len(c.text)-maxCollected:]...)
	}
	return found
}

// await collects text until it contains one of the marks, with a time limit. It returns the last 64 to 128
// KiB of the text.
func await(ctx context.Context, parts <-chan arrival, most time.Duration, marks ...string) (text string, ended bool, err error) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	c := &collected{marks: marks}
	for {
		select {
		case part, more := <-parts:
			if c.add(part.text) {
				return string(c.text), false, nil
			}
			if !more || part.err != nil {
				return string(c.text), true, part.err
			}
		case <-timer.C:
			return string(c.text), false, nil
		case <-ctx.Done():
			return string(c.text), false, ctx.Err()
		}
	}
}

// awaitHeartbeat waits for a heartbeat on a connection without events.
func (v *visit) awaitHeartbeat(ctx context.Context, parts <-chan arrival) {
	heartbeat := v.Config.SSE.Heartbeat
	if !v.Usable {
		heartbeat = 15 * time.Second
	}
	most := heartbeat + promptly
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < heartbeat+time.Second {
		v.skip("the heartbeat (sse.heartbeat, %s) was not checked; raise --timeout", heartbeat)
		return
	}
	if v.Waiting != nil {
		v.Waiting(fmt.Sprintf("waiting for the heartbeat through %s (sse.heartbeat, %s)", v.resp.Request.URL.Host, heartbeat))
	}
	begun := time.Now()
	text, ended, err := await(ctx, parts, most)
	waited := time.Since(begun).Round(100 * time.Millisecond)
	switch {
	case text != "":
		v.ok("the connection stayed open, and its next bytes arrived after %s (sse.heartbeat %s)", waited, heartbeat)
	case ended:
		v.problem(readTimeout, "the connection ended after %s without a byte, before the heartbeat (sse.heartbeat %s): %v", waited, heartbeat, err)
	default:
		v.problem(bufferingOff, "the first event arrived, but no heartbeat within %s (sse.heartbeat %s): the proxy buffers small writes", waited, heartbeat)
	}
}
