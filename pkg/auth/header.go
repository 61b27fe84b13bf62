package auth

import (
	"cmp"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"sync/atomic"
)

// HeaderOptions configure Header. The zero value trusts nobody, so that its source finds
// nobody.
type HeaderOptions struct {
	// User is the header with the user; X-User when empty.
	User string
	// Vars are further headers by the variable that each fills: {"city": "X-City"}. They
	// count beside the user's only: without a user there is no identity. An entry for "user"
	// itself is not looked at.
	Vars map[string]string
	// Trusted are the addresses of the gateways that set these headers, as peers of the TCP
	// connection. From anyone else they are ignored and counted.
	Trusted []netip.Prefix
}

// HeaderSource takes identities from the headers that a gateway sets. Make one with Header.
type HeaderSource struct {
	names   map[string]string // by variable
	trusted []netip.Prefix
	ignored atomic.Uint64
}

// Header returns a source that believes the headers of trusted gateways. A gateway must
// overwrite what a client sends under these names, not add to it.
func Header(opts HeaderOptions) *HeaderSource {
	h := &HeaderSource{names: maps.Clone(opts.Vars), trusted: slices.Clone(opts.Trusted)}
	if h.names == nil {
		h.names = make(map[string]string, 1)
	}
	h.names["user"] = cmp.Or(opts.User, "X-User")
	return h
}

// Identify is a Source. A header that is there twice, and a value that is longer than 255
// bytes or not UTF-8, are refused with 400. Values are used as they are: percent signs in them
// are not decoded.
func (h *HeaderSource) Identify(r *http.Request) (Identity, error) {
	if !h.any(r) {
		return Identity{}, ErrNoIdentity
	}
	if !trusts(h.trusted, PeerAddr(r)) {
		h.ignored.Add(1)
		return Identity{}, ErrNoIdentity
	}
	vars := make(map[string]string, len(h.names))
	for name, header := range h.names {
		values := r.Header.Values(header)
		if len(values) > 1 {
			return Identity{}, badRequest("the header %s is there %d times; send it once", header, len(values))
		}
		if len(values) == 0 {
			continue
		}
		if err := fill(vars, name, values[0], "the header "+header); err != nil {
			return Identity{}, err
		}
	}
	if vars["user"] == "" {
		return Identity{}, ErrNoIdentity
	}
	return Identity{Vars: vars, Kind: KindHeader}, nil
}

// Names returns the headers that an identity may come from.
func (h *HeaderSource) Names() []string { return slices.Sorted(maps.Values(h.names)) }

// Ignored counts the requests whose headers were not believed, since their peer is not a
// trusted gateway: a client that forges, or a gateway missing from the list.
func (h *HeaderSource) Ignored() uint64 { return h.ignored.Load() }

func (h *HeaderSource) any(r *http.Request) bool {
	for _, header := range h.names {
		if len(r.Header.Values(header)) > 0 {
			return true
		}
	}
	return false
}
