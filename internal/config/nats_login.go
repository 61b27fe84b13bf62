package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// LoginAdvice names the rejected login, its origin and the remedy.
func (n *NATS) LoginAdvice() string {
	from := func(key string, variables ...string) string {
		for _, v := range variables {
			if slices.Contains(n.Source.Used, v) {
				return v
			}
		}
		for _, used := range n.Source.Used {
			if strings.HasPrefix(used, "nats.context ") {
				return used
			}
		}
		return key
	}
	switch {
	case n.User != "" && n.User == os.Getenv("NATS_USER"):
		return fmt.Sprintf("user %q (%s) is rejected: check the name and the password", n.User, from("nats.user", "NATS_USER", "NATS_CONTEXT"))
	case n.User != "":
		return fmt.Sprintf("user %q (%s) is rejected: check the name and the password", n.User, from("nats.user", "NATS_CONTEXT"))
	case n.Credentials != "":
		return fmt.Sprintf("the credentials in %s (%s) are rejected", n.Credentials, from("nats.credentials", "NATS_CREDS", "NATS_CONTEXT"))
	case n.NKey != "":
		return fmt.Sprintf("the nkey in %s (%s) is rejected", n.NKey, from("nats.nkey", "NATS_NKEY", "NATS_CONTEXT"))
	case n.Token != "" && slices.Contains(n.Source.Used, "NATS_USER"):
		return "the token (NATS_USER, which is a token without NATS_PASSWORD) is rejected; for a user set NATS_PASSWORD too"
	case n.Token != "":
		return fmt.Sprintf("the token (%s) is rejected", from("nats.token", "NATS_CONTEXT"))
	}
	return "set NATS_USER and NATS_PASSWORD, NATS_CREDS or NATS_NKEY, or the keys of nats.*"
}
