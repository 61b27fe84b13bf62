package feedhttp

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/tidemark/tidemark/pkg/auth"
)

// Identity is the answer of GET /identity.
type Identity struct {
	// Identity is the opaque tag of the caller's account; see [auth.Tagger]. Empty where the node has
	// no key for tags.
	Identity string `json:"identity"`
}

// Tag returns the tag of an identity; empty where there is none. An error means that it is not known
// yet.
type Tag func(auth.Identity) (string, error)

// IdentityOptions configure the handler of GET /identity. Identify and Tag are needed.
type IdentityOptions struct {
	Identify  auth.Source
	Tag       Tag
	Vary      []string             // request headers that an identity may come from
	Admission *Admission           // names clients to Refused
	Refused   func(RefusedRequest) // as in SubscribeOptions
}

// NewIdentity returns a handler that answers GET and HEAD with the tag of the caller. A client makes it
// a part of what it shares and stores, so that two accounts in one browser never have that in common.
func NewIdentity(opts IdentityOptions) http.Handler {
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
			Refuse(w, err)
			return
		}
		SecurityHeaders(h)
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "private, no-store")
		if r.Method == http.MethodGet {
			_ = json.NewEncoder(w).Encode(Identity{tag}) // fails only when the client has gone
		}
	})
}

// opening is what tidemark.open reports of the identity.
type opening struct {
	tag     string
	changed bool // ?identity= has the tag of another account
}

// identify compares the tag that a client had with the one that it has now. A client that cannot be
// compared yet is refused: it might resume at the position of another account.
func (h *Subscribe) identify(id auth.Identity, query url.Values) (*opening, error) {
	if h.opts.Tag == nil {
		return &opening{}, nil
	}
	had := query.Get("identity")
	tag, err := h.opts.Tag(id)
	if err != nil && had != "" {
		return nil, err
	}
	return &opening{tag: tag, changed: tag != "" && had != "" && had != tag}, nil
}
