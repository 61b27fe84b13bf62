package client

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark/tidemark/pkg/sse"
)

// ErrIdle is why a connection was given up on which the server sent nothing for
// Options.IdleTimeout. OnDisconnect gets it.
var ErrIdle = errors.New("the server sent nothing for too long")

// maxProblem bounds what is read of an answer that is no stream, in bytes.
const maxProblem = 16 << 10

// ResponseError is an answer that is not an event stream. Follow ends with it unless
// Temporary.
type ResponseError struct {
	StatusCode  int
	ContentType string
	// Title and Detail are those of an application/problem+json (RFC 9457). Of other text
	// Detail is the first line, and Title is the status text.
	Title, Detail string
	// RetryAfter is what the server asked for, 0 for nothing.
	RetryAfter time.Duration
}

func (e *ResponseError) Error() string {
	msg := fmt.Sprintf("the server answered %d %s", e.StatusCode, e.Title)
	if e.StatusCode == http.StatusOK {
		msg = fmt.Sprintf("the server answered %q, which is no event stream", e.ContentType)
	}
	if e.Detail != "" {
		msg += ": " + e.Detail
	}
	return msg
}

// Temporary reports whether the same request may be answered otherwise later: 429 and 5xx.
func (e *ResponseError) Temporary() bool {
	return e.StatusCode == http.StatusTooManyRequests || e.StatusCode >= 500
}

// withoutQuery leaves the query out of an error that names a URL: tokens travel there, and
// errors end in logs.
func withoutQuery(err error) error {
	failed, ok := errors.AsType[*url.Error](err)
	if !ok {
		return err
	}
	return &url.Error{Op: failed.Op, URL: cutQuery(failed.URL), Err: failed.Err}
}

func cutQuery(rawURL string) string {
	if i := strings.IndexAny(rawURL, "?#"); i >= 0 {
		return rawURL[:i+1] + "…"
	}
	return rawURL
}

// checkResponse returns a *ResponseError unless resp is an event stream (WHATWG HTML 9.2.3:
// status 200 and the media type).
func checkResponse(resp *http.Response) error {
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode == http.StatusOK && mediaType == sse.MediaType {
		return nil
	}
	e := &ResponseError{
		StatusCode:  resp.StatusCode,
		ContentType: resp.Header.Get("Content-Type"),
		Title:       http.StatusText(resp.StatusCode),
		RetryAfter:  retryAfter(resp.Header),
	}
	e.explain(mediaType, resp.Body)
	return e
}

func (e *ResponseError) explain(mediaType string, body io.Reader) {
	text, _ := io.ReadAll(io.LimitReader(body, maxProblem)) // what came is better than nothing
	switch mediaType {
	case "application/problem+json":
		var problem struct{ Title, Detail string }
		if json.Unmarshal(text, &problem) == nil {
			e.Title, e.Detail = cmp.Or(problem.Title, e.Title), problem.Detail
		}
	case "text/plain", "":
		line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		e.Detail = strings.TrimSpace(line)
	}
}

// retryAfter reads the form in seconds. The other one, a date, depends on both clocks.
func retryAfter(h http.Header) time.Duration {
	secs, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(secs) * time.Second
}
