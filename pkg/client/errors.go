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

// ErrIdle is passed to OnDisconnect after Options.IdleTimeout without a byte from the server.
var ErrIdle = errors.New("idle timeout: no data from the server")

// maxProblem limits the size of an error response, in bytes.
const maxProblem = 16 << 10

// ResponseError is a response other than an event stream. Follow returns it unless it is
// Temporary.
type ResponseError struct {
	StatusCode  int
	ContentType string
	// Title and Detail are those of an application/problem+json response (RFC 9457). For other
	// text, Title is the status text and Detail is the first line of the body.
	Title, Detail string
	// RetryAfter is the delay requested by the server; 0 if there was none.
	RetryAfter time.Duration
}

func (e *ResponseError) Error() string {
	msg := fmt.Sprintf("the server answered %d %s", e.StatusCode, e.Title)
	if e.StatusCode == http.StatusOK {
		msg = fmt.Sprintf("the server answered %q instead of an event stream", e.ContentType)
	}
	if e.Detail != "" {
		msg += ": " + e.Detail
	}
	return msg
}

// Temporary reports whether a retry may succeed: status 429 and 5xx.
func (e *ResponseError) Temporary() bool {
	return e.StatusCode == http.StatusTooManyRequests || e.StatusCode >= 500
}

// withoutQuery removes the query from an error that contains a URL. The query may contain tokens,
// and errors are logged.
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
	text, _ := io.ReadAll(io.LimitReader(body, maxProblem)) // a partial text is better than none
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

// retryAfter parses the form in seconds. It ignores the form with a date, which would require
// synchronised clocks.
func retryAfter(h http.Header) time.Duration {
	secs, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(secs) * time.Second
}
