package loadtest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The limits of Tidemark's /publish, unless configured otherwise.
const (
	maxArrayEvents = 1000
	maxArrayBytes  = 1 << 20
)

const (
	maxAnswerBytes = 1 << 20 // of an answer that are read
	maxShownBytes  = 300     // of it in an error
)

type httpSink struct {
	t      PublishTarget
	client *http.Client
	arrays bool // a POST holds an array of bodies
	mixed  bool // an array may have several users
}

func newHTTPSink(t PublishTarget, burst int, insecure bool) *httpSink {
	around := append([]string{t.URL}, t.Headers...) // the parts that an array has once
	has := func(name string) bool {
		return slices.ContainsFunc(around, func(s string) bool { return strings.Contains(s, name) })
	}
	return &httpSink{
		t: t,
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
			MaxIdleConnsPerHost: publishers,
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: insecure}, //nolint:gosec // requested with --insecure
		}},
		arrays: t.Arrays && burst > 1 && !has("{payload}"),
		mixed:  !has("{user}"),
	}
}

func (h *httpSink) batches(burst []message) [][]message {
	if !h.arrays {
		return slices.Collect(slices.Chunk(burst, 1))
	}
	size := func(m message) int { return len(h.body(m)) + len("[],") }
	return splitBatches(burst, maxArrayEvents, maxArrayBytes, size, func(a, b message) bool { return !h.mixed && a.key != b.key })
}

func (h *httpSink) checkRepeat(context.Context, []message, time.Time) error { return nil }

func (h *httpSink) publish(ctx context.Context, batch []message) error {
	if !h.arrays {
		_, err := h.post(ctx, batch[0], h.body(batch[0]))
		return err
	}
	bodies := make([]string, len(batch))
	for i, m := range batch {
		bodies[i] = h.body(m)
	}
	answer, err := h.post(ctx, batch[0], "["+strings.Join(bodies, ",")+"]")
	if err != nil {
		return err
	}
	return checkResults(batch, answer)
}

func expandMessage(template string, m message) string {
	return strings.NewReplacer("{user}", m.key, "{payload}", m.payload).Replace(template)
}

func (h *httpSink) body(m message) string {
	if h.t.Body == "" {
		return m.payload
	}
	return expandMessage(h.t.Body, m)
}

// post sends a body with the id of a message, from which the server derives those of an array.
func (h *httpSink) post(ctx context.Context, m message, body string) (answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, expandMessage(h.t.URL, m), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Idempotency-Key", m.id) // a retry after a lost answer is not a second event
	if h.t.ContentType != "" {
		req.Header.Set("Content-Type", h.t.ContentType)
	}
	for _, line := range h.t.Headers {
		name, value, _ := strings.Cut(expandMessage(line, m), ":")
		req.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	// The answer is read to its end: the next POST would need another connection otherwise.
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if resp.StatusCode < 300 {
		return answer, err
	}
	err = fmt.Errorf("the server answered %s: %s", resp.Status, excerpt(answer))
	if resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests {
		err = refusedError{err}
	}
	return nil, err
}

func excerpt(answer []byte) string {
	return strings.TrimSpace(string(answer[:min(len(answer), maxShownBytes)]))
}

// checkResults returns an error unless all events of an array are stored, in order.
func checkResults(batch []message, answer []byte) error {
	var results []struct {
		Stream string `json:"stream"`
		Seq    uint64 `json:"seq"`
		Error  string `json:"error"`
	}
	if err := json.Unmarshal(answer, &results); err != nil || len(results) != len(batch) {
		return refusedError{fmt.Errorf("the answer is not an array of %d results: %s", len(batch), excerpt(answer))}
	}
	stored := storedOrder{}
	for i, r := range results {
		var err error
		switch {
		case r.Error != "":
			err = errors.New(r.Error)
		case r.Seq == 0:
			err = refusedError{errors.New("the answer has no sequence")}
		default:
			err = stored.check(batch[i], r.Stream, r.Seq)
		}
		if err != nil {
			return eventError(batch[i], err)
		}
	}
	return nil
}

// eventError adds the event of a batch to an error.
func eventError(m message, err error) error {
	return fmt.Errorf("event %d for %s: %w", m.n, m.key, err)
}

func (h *httpSink) close() { h.client.CloseIdleConnections() }
