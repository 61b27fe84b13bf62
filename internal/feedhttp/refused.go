package feedhttp

import (
	"errors"
	"net/http"

	"github.com/tidemark/tidemark/pkg/auth"
)

// RefusedRequest is a request rejected for its identity or for a limit.
type RefusedRequest struct {
	Request *http.Request
	Remote  string // the client's address, as trusted proxies name it
	// Identity is the caller's; zero where none was found.
	Identity auth.Identity
	Err      error
	Limit    bool // Err is a limit
}

// report passes a refusal to a hook, if it is for a limit or has a status of 4xx: it may be an attack, or a
// gateway with a wrong configuration.
func report(hook func(RefusedRequest), a *Admission, r *http.Request, id auth.Identity, err error) {
	if hook == nil {
		return
	}
	denied, isDenied := errors.AsType[*auth.Error](err)
	isDenied = isDenied && denied.Status >= http.StatusBadRequest && denied.Status < http.StatusInternalServerError
	_, isRate := errors.AsType[*rateError](err)
	limit := isRate || errors.Is(err, errRate) || errors.Is(err, errLimit) || errors.Is(err, errOverload)
	if isDenied || limit {
		hook(RefusedRequest{Request: r, Remote: a.remote(r), Identity: id, Err: err, Limit: limit})
	}
}
