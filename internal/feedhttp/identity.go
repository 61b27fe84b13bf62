package feedhttp

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/tidemark/tidemark/internal/problem"
	"github.com/tidemark/tidemark/pkg/auth"
)

// Identity is the answer of GET /identity.
type Identity struct {
	// Identity is the opaque tag of the caller's account; see [auth.Tagger]. Empty if the node has
	// no key for tags.
	Identity string `json:"identity"`
}

// Tag returns the tag of an identity; empty for none. An error means that the tag is not known yet.
type Tag func(auth.Identity) (string, error)

// IdentityOptions configure the handler of GET /identity. Identify and Tag are needed.
type IdentityOptions struct {
	Identify  auth.Source
	Tag       Tag
	Vary      []string             // request headers that an identity may come from
	Admission *Admission           // has the trusted proxies, for the addresses in Refused; nil has none
	Refused   func(RefusedRequest) // as in SubscribeOptions
}

// NewIdentity returns a handler of GET and HEAD: the answer has the tag of the caller. Clients make it
// part of the names under which they store positions, so that two accounts in one browser share none.
func NewIdentity(opts IdentityOptions) http.Handler {
	if opts.Admission == nil {
		opts.Admission = NewAdmission(Limits{})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for _, name := range opts.Vary {
			h.Add("Vary", name)
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			refuseMethod(w, r, "GET, HEAD, OPTIONS")
			return
		}
		id, err := opts.Identify(r)
		var tag string
		if err == nil {
			tag, err = opts.Tag(id)
		}
		if err != nil {
			report(opts.Refused, opts.Admission, r, auth.Identity{}, err)
			refuse(w, err)
			return
		}
		problem.SecurityHeaders(h)
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "private, no-store")
		if r.Method == http.MethodGet {
			_ = json.NewEncoder(w).Encode(Identity{tag}) // fails only if the client disconnected
		}
	})
}

// identityTag is the part of tidemark.open about the identity.
type identityTag struct {
	tag     string
	changed bool // ?identity= has the tag of another account
}

// compareTag compares the tag that a client had with its present one. It refuses a client whose tag is
// not known yet: the client might resume at the position of another account.
func (h *Subscribe) compareTag(id auth.Identity, query url.Values) (identityTag, error) {
	if h.opts.Tag == nil {
		return identityTag{}, nil
	}
	had := query.Get("identity")
	tag, err := h.opts.Tag(id)
	if err != nil && had != "" {
		return identityTag{}, err
	}
	return identityTag{tag: tag, changed: tag != "" && had != "" && had != tag}, nil
}
