// Package problem writes the error answers of the HTTP interface, as RFC 9457
// (application/problem+json) defines them.
//
// Each kind of problem has a code that programs can compare, and a type that is derived from it. The table
// in this package lists them all, each with its status, its title, and its remedy:
//
//	problem.Write(w, problem.Document{Code: problem.StoreFull, Detail: err.Error()})
//
// A code is also an error, so that it can be the cause of one: [Of] finds it there.
//
// Codes are stable: a code is not renamed, and its meaning does not change. The texts may change.
package problem

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/tidemark/tidemark/pkg/auth"
)

// Document is an error answer.
type Document struct {
	// Type is a URN that identifies the kind. Type and Title are those of Code if empty.
	Type string `json:"type"`
	// Code is the machine-readable name of the kind; see [Kinds]. The general code of Status if empty.
	Code   Code   `json:"code"`
	Title  string `json:"title"`
	Status int    `json:"status"` // that of Code if zero
	// Detail has the cause for this request, and the change that it needs.
	Detail string `json:"detail"`
	// Field names the part of a request body that is wrong, such as "[3].subject".
	Field string `json:"field,omitempty"`
	// Outcome is set if storing failed: not_stored or unknown. For a batch it is that of the event
	// in Detail.
	Outcome string `json:"outcome,omitempty"`
	// Results has, for a batch, the result of each event.
	Results any `json:"results,omitempty"`
	// Ingest has, for an event stream, what is stored of it.
	Ingest any `json:"ingest,omitempty"`
	// RetryAfter, if set, is the header Retry-After, in seconds.
	RetryAfter string `json:"-"`
	// Challenge, if set, is the header WWW-Authenticate.
	Challenge string `json:"-"`
}

// Of returns the document for an error. The status, the challenge and the cause of an [auth.Error] are
// kept; any other error has the code that is its cause, else [InvalidRequest].
func Of(err error) Document {
	d := Document{Detail: err.Error()}
	if denied, ok := errors.AsType[*auth.Error](err); ok {
		d.Status, d.Challenge = denied.Status, denied.Challenge
	}
	code, hasCode := errors.AsType[Code](err)
	switch {
	case hasCode:
		d.Code = code
	case errors.Is(err, auth.ErrExpired):
		d.Code = TokenExpired
	case errors.Is(err, auth.ErrKeysUnavailable):
		d.Code, d.RetryAfter = KeysUnavailable, "5"
	case d.Status == 0:
		d.Code = InvalidRequest
	}
	return d
}

// Write answers a request with a problem.
func Write(w http.ResponseWriter, d Document) {
	d.Code = cmp.Or(d.Code, general(d.Status))
	kind := d.Code.kind()
	d.Type, d.Title, d.Status = cmp.Or(d.Type, kind.Type()), cmp.Or(d.Title, kind.Title), cmp.Or(d.Status, kind.Status)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if d.RetryAfter != "" {
		h.Set("Retry-After", d.RetryAfter)
	}
	if d.Challenge != "" {
		h.Set("WWW-Authenticate", d.Challenge)
	}
	SecurityHeaders(h)
	w.WriteHeader(d.Status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // people read a subject with > in it
	_ = enc.Encode(d)        // fails only if the client disconnected
}

// WriteError answers a request with the problem of an error; see [Of].
func WriteError(w http.ResponseWriter, err error) { Write(w, Of(err)) }

// SecurityHeaders sets the headers for browsers of all answers but pages. Browsers then do not guess the
// type of the content, and do not show it in a frame.
func SecurityHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
}
