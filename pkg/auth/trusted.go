package auth

import (
	"net/netip"

	"github.com/tidemark/tidemark/internal/netaddr"
)

// ParsePrefixes parses addresses and networks, for example for [HeaderOptions].Trusted.
// "10.0.0.7" is an address, "10.1.0.0/16" a network. Errors contain the invalid text.
func ParsePrefixes(texts ...string) ([]netip.Prefix, error) { return netaddr.ParsePrefixes(texts...) }

// TrustedHeader returns a source for a header with the user, set by gateways at trusted addresses.
//
// [ParsePrefixes] describes the form of the addresses, and [Header] has further options. The gateways
// must overwrite a header sent by a client. Without trusted addresses the source finds no identity.
//
// TrustedHeader panics if an address is invalid: it is for addresses in the program's source. For
// addresses of a configuration, use ParsePrefixes and Header.
func TrustedHeader(name string, trusted ...string) Source {
	prefixes, err := ParsePrefixes(trusted...)
	if err != nil {
		panic("auth.TrustedHeader: " + err.Error())
	}
	return Header(HeaderOptions{User: name, Trusted: prefixes}).Identify
}
