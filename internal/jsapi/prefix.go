package jsapi

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// CheckName reports an empty name, or characters with a meaning in API subjects.
func CheckName(what, name string) error {
	if name == "" || strings.ContainsAny(name, " \t\r\n.*>/\\") {
		return fmt.Errorf("the %s %q must be set, without spaces, '.', '*', '>' and slashes", what, name)
	}
	return nil
}

// CheckPrefix reports an invalid JetStream domain or API prefix. At most one may be set.
func CheckPrefix(domain, prefix string) error {
	_, err := Prefix(domain, prefix)
	return err
}

// Prefix returns the beginning of API subjects, with the dot. It is that of a JetStream domain, or of an
// API that an account imports under another subject; with neither, $JS.API. At most one may be set.
func Prefix(domain, prefix string) (string, error) {
	switch {
	case domain != "" && prefix != "":
		return "", errors.New("set the JetStream domain or the API prefix, not both")
	case domain != "":
		return "$JS." + domain + ".API.", CheckName("JetStream domain", domain)
	case prefix != "":
		prefix = strings.TrimSuffix(prefix, ".")
		for token := range strings.SplitSeq(prefix, ".") {
			if err := CheckName("token of the JetStream API prefix", token); err != nil {
				return "", err
			}
		}
		return prefix + ".", nil
	}
	return "$JS.API.", nil
}

// New returns the JetStream of a domain, or of an API prefix. With neither it is the account's. Domain and apiPrefix are as in [Prefix]. It does not block.
func New(nc *nats.Conn, domain, apiPrefix string, options ...jetstream.JetStreamOpt) (jetstream.JetStream, error) {
	if err := CheckPrefix(domain, apiPrefix); err != nil {
		return nil, err
	}
	switch {
	case domain != "":
		return jetstream.NewWithDomain(nc, domain, options...)
	case apiPrefix != "":
		return jetstream.NewWithAPIPrefix(nc, strings.TrimSuffix(apiPrefix, "."), options...)
	}
	return jetstream.New(nc, options...)
}
