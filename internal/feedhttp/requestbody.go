package feedhttp

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"time"
	"unicode/utf8"
)

// errSlowBody is of a body that took longer than PublishOptions.BodyTimeout.
var errSlowBody = errors.New("the body took too long to arrive; nothing of it is stored, send it again")

// readBody reads a body within MaxBytes and BodyTimeout. Without the timeout a client that sends a byte a
// minute would keep a goroutine for as long as it likes.
func (p *publisher) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	c := http.NewResponseController(w)
	// An error is of a writer without a connection: there is nothing to guard.
	guarded := c.SetReadDeadline(time.Now().Add(p.opts.BodyTimeout)) == nil
	read, err := io.ReadAll(http.MaxBytesReader(w, r.Body, p.opts.MaxBytes))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, errSlowBody
	case err != nil:
		return nil, err // the deadline stays for the rest of the body, which net/http reads
	case guarded:
		_ = c.SetReadDeadline(time.Time{}) // else the request's context would end with it
	}
	return read, nil
}

// readJSON reads a body that is not empty.
func (p *publisher) readJSON(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := p.readBody(w, r)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, errors.New(`the body is empty; send JSON such as {"subject":"notifications.broadcast","data":"hi"}`)
	}
	return body, checkUTF8(body)
}

func checkUTF8(body []byte) error {
	if !utf8.Valid(body) {
		// The decoder would replace invalid bytes, also in subjects.
		return errors.New("the body is not UTF-8; send other data in base64")
	}
	return nil
}
