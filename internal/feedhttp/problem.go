package feedhttp

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/tidemark/tidemark/pkg/auth"
)

// TypeTokenExpired is the type of the problem that a new token solves.
const TypeTokenExpired = "urn:tidemark:token-expired" //nolint:gosec // G101: a name, no token

// Problem is an error answer, as RFC 9457 (application/problem+json) has it.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail says what to change.
	Detail string `json:"detail"`
	// Field names the part of a request body that is wrong, such as "[3].subject".
	Field string `json:"field,omitempty"`
	// Outcome says, where storing failed, whether the event is stored; for a batch, of the event
	// that Detail is about.
	Outcome Outcome `json:"outcome,omitempty"`
	// Results tell, for a batch of which some are stored, what became of each.
	Results []PublishResult `json:"results,omitempty"`
}

// WriteProblem answers with a problem. A zero Type and Title follow from the status.
func WriteProblem(w http.ResponseWriter, p Problem) {
	p.Type, p.Title = cmp.Or(p.Type, "about:blank"), cmp.Or(p.Title, http.StatusText(p.Status))
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	SecurityHeaders(h)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client has gone: nobody is left to tell
}

// SecurityHeaders sets what browsers are to be told with an answer that is no page: to take
// it for nothing else than it is, and to show it in no frame.
func SecurityHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
}

// Refuse answers an error of ours with its status, and any other with 400.
func Refuse(w http.ResponseWriter, err error) {
	p := Problem{Status: http.StatusBadRequest, Detail: err.Error()}
	if denied, ok := errors.AsType[*auth.Error](err); ok {
		p.Status = denied.Status
		if denied.Challenge != "" {
			w.Header().Set("WWW-Authenticate", denied.Challenge)
		}
	}
	switch {
	case errors.Is(err, auth.ErrExpired):
		p.Type = TypeTokenExpired
	case errors.Is(err, auth.ErrKeysUnavailable):
		w.Header().Set("Retry-After", "5")
	}
	WriteProblem(w, p)
}

func refuseMethod(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	WriteProblem(w, Problem{Status: http.StatusMethodNotAllowed, Detail: r.Method + " is not served here; use " + allow})
}
