package auth

import (
	"cmp"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync/atomic"
)

// HeaderOptions configure Header. With the zero value no address is trusted, so that the source finds
// no identity.
type HeaderOptions struct {
	// User is the header with the user; X-User when empty.
	User string
	// Vars are further headers by the variable that each fills: {"city": "X-City"}. They
	// count beside the user's only: without a user there is no identity. An entry for "user"
	// itself is not looked at.
	Vars map[string]string
	// Expires is the header with the end of the grant, in Unix seconds or in the form of RFC 3339.
	// Where it is set, a request with a user and without this header is refused: a client may be able to
	// make the gateway drop a header (Connection: X-User-Expires), and would have a grant without an
	// end. When empty, grants have no end.
	Expires string
	// PercentEncoded says that the values of User and Vars are percent-encoded UTF-8. A plus sign
	// stands for itself.
	PercentEncoded bool
	// Trusted are the addresses of the gateways that set these headers, as peers of the TCP
	// connection. The headers of other peers are ignored and counted.
	Trusted []netip.Prefix
	// Ignored is called with each request whose headers are ignored. It must not block. May be nil.
	Ignored func(*http.Request)
}

// HeaderSource takes identities from the headers that a gateway sets. Make one with Header.
type HeaderSource struct {
	names     map[string]string // by variable
	expires   string            // empty for grants without an end
	encoded   bool
	trusted   []netip.Prefix
	ignored   atomic.Uint64
	onIgnored func(*http.Request)
}

// Header returns a source that reads the headers of trusted gateways. A gateway must
// overwrite what a client sends under these names, not add to it.
func Header(opts HeaderOptions) *HeaderSource {
	h := &HeaderSource{
		names: maps.Clone(opts.Vars), expires: opts.Expires, encoded: opts.PercentEncoded,
		trusted: slices.Clone(opts.Trusted), onIgnored: opts.Ignored,
	}
	if h.names == nil {
		h.names = make(map[string]string, 1)
	}
	h.names["user"] = cmp.Or(opts.User, "X-User")
	return h
}

// Identify is a Source. A header that is there twice, and a value that is longer than 255
// bytes or not UTF-8, are refused with 400, as is an end of the grant that cannot be read. A grant
// that has ended, or has no end where HeaderOptions.Expires is set, is refused with 401. Percent signs
// are decoded only with HeaderOptions.PercentEncoded.
func (h *HeaderSource) Identify(r *http.Request) (Identity, error) {
	if !h.any(r) {
		return Identity{}, ErrNoIdentity
	}
	if !trusts(h.trusted, PeerAddr(r)) {
		h.ignore(r)
		return Identity{}, ErrNoIdentity
	}
	vars := make(map[string]string, len(h.names))
	for name, header := range h.names {
		value, err := h.value(r, header)
		if err != nil {
			return Identity{}, err
		}
		if err := fill(vars, name, value, "the header "+header); err != nil {
			return Identity{}, err
		}
	}
	if vars["user"] == "" {
		return Identity{}, ErrNoIdentity
	}
	expires, err := h.grantEnd(r)
	if err != nil {
		return Identity{}, err
	}
	return Identity{Vars: vars, Kind: KindHeader, Expires: expires}, nil
}

// Names returns the headers that an identity may come from.
func (h *HeaderSource) Names() []string {
	names := slices.Collect(maps.Values(h.names))
	if h.expires != "" {
		names = append(names, h.expires)
	}
	slices.Sort(names)
	return names
}

// Ignored counts the requests whose headers were ignored, since their peer is not a trusted
// gateway: a client that forges, or a gateway missing from the list.
func (h *HeaderSource) Ignored() uint64 { return h.ignored.Load() }

func (h *HeaderSource) ignore(r *http.Request) {
	h.ignored.Add(1)
	if h.onIgnored != nil {
		h.onIgnored(r)
	}
}

// value returns a header of an identity, decoded; empty where there is none.
func (h *HeaderSource) value(r *http.Request, header string) (string, error) {
	value, err := onlyValue(r, header)
	if err != nil || !h.encoded {
		return value, err
	}
	decoded, err := url.PathUnescape(value)
	if err != nil {
		return "", badRequest("the header %s is not percent-encoded: each %% needs two hexadecimal digits behind it, and %%25 is the percent sign (auth.header.encoding)", header)
	}
	return decoded, nil
}

// onlyValue returns a header that may be there once; empty where there is none.
func onlyValue(r *http.Request, header string) (string, error) {
	values := r.Header.Values(header)
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", badRequest("the header %s is there %d times; send it once", header, len(values))
}

func (h *HeaderSource) any(r *http.Request) bool {
	for _, header := range h.names {
		if len(r.Header.Values(header)) > 0 {
			return true
		}
	}
	return false
}
