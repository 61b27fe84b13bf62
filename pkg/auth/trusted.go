package auth

import (
	"net/netip"

	"github.com/tidemark/tidemark/internal/netaddr"
)

// ParsePrefixes reads addresses and networks, such as those of [HeaderOptions].Trusted:
// "10.0.0.7" stands for itself, "10.1.0.0/16" for a network. Errors name the text that is neither.
func ParsePrefixes(texts ...string) ([]netip.Prefix, error) { return netaddr.ParsePrefixes(texts...) }

// TrustedHeader returns a source that reads the user from a header which the gateways at the trusted
// addresses set; see [ParsePrefixes] for their form, and [Header] for more than a user. The gateways
// must overwrite the header where a client sends it. Without trusted addresses it finds no identity.
//
// It panics if an address cannot be read, as it is for addresses that stand in the program. Use
// ParsePrefixes and Header for those of a configuration.
func TrustedHeader(name string, trusted ...string) Source {
	prefixes, err := ParsePrefixes(trusted...)
	if err != nil {
		panic("auth.TrustedHeader: " + err.Error())
	}
	return Header(HeaderOptions{User: name, Trusted: prefixes}).Identify
}
