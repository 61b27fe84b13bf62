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

// HeaderOptions configures Header. With the zero value no address is trusted, so the source finds no
// identities.
type HeaderOptions struct {
	// User is the header with the user; X-User if empty.
	User string
	// Vars maps variables to additional headers: {"city": "X-City"}. They are used only together with a
	// user: without a user there is no identity. An entry for "user" is ignored.
	Vars map[string]string
	// Expires is the header with the end of the grant, in Unix seconds or in the form of RFC 3339.
	// If it is set, a request with a user but without this header is rejected. Otherwise a client
	// could make the gateway drop the header (Connection: X-User-Expires) and obtain a grant without an
	// end. If it is empty, grants have no end.
	Expires string
	// PercentEncoded decodes the values of User and Vars as percent-encoded UTF-8. A plus sign is not
	// decoded.
	PercentEncoded bool
	// Trusted contains the addresses of the gateways that set these headers, as peers of the TCP
	// connection. The headers of other peers are ignored and counted.
	Trusted []netip.Prefix
	// Ignored, if set, is called with each request whose headers are ignored. It must not block.
	Ignored func(*http.Request)
}

// HeaderSource reads identities from the headers of a gateway. Create it with Header.
type HeaderSource struct {
	names     map[string]string // by variable
	expires   string            // empty for grants without an end
	encoded   bool
	trusted   []netip.Prefix
	ignored   atomic.Uint64
	onIgnored func(*http.Request)
}

// Header returns a source for the headers of trusted gateways. A gateway must overwrite headers of
// these names sent by clients, not append to them.
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

// Identify is a Source for the configured headers. It rejects requests with these statuses:
//
//   - 400 if a header occurs twice, a value is longer than 255 bytes or not UTF-8, or the end of the
//     grant cannot be parsed;
//   - 401 if the grant has ended, or has no end although HeaderOptions.Expires is set.
//
// It decodes percent signs only with HeaderOptions.PercentEncoded.
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
		if err := setVar(vars, name, value, "the header "+header); err != nil {
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

// Names returns the names of the configured headers.
func (h *HeaderSource) Names() []string {
	names := slices.Collect(maps.Values(h.names))
	if h.expires != "" {
		names = append(names, h.expires)
	}
	slices.Sort(names)
	return names
}

// Ignored returns the number of requests with ignored headers. Their peer is not a trusted gateway:
// either a client forges the headers, or a gateway is missing in the list.
func (h *HeaderSource) Ignored() uint64 { return h.ignored.Load() }

func (h *HeaderSource) ignore(r *http.Request) {
	h.ignored.Add(1)
	if h.onIgnored != nil {
		h.onIgnored(r)
	}
}

// value returns the decoded value of a header, or "" if there is none.
func (h *HeaderSource) value(r *http.Request, header string) (string, error) {
	value, err := onlyValue(r, header)
	if err != nil || !h.encoded {
		return value, err
	}
	decoded, err := url.PathUnescape(value)
	if err != nil {
		return "", badRequest("the header %s is not percent-encoded; write two hexadecimal digits after each %%, and %%25 for a percent sign (auth.header.encoding)", header)
	}
	return decoded, nil
}

// onlyValue returns the value of a header, or "" if there is none. Two values are an error.
func onlyValue(r *http.Request, header string) (string, error) {
	values := r.Header.Values(header)
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", badRequest("the header %s occurs %d times; send it once", header, len(values))
}

func (h *HeaderSource) any(r *http.Request) bool {
	for _, header := range h.names {
		if len(r.Header.Values(header)) > 0 {
			return true
		}
	}
	return false
}
