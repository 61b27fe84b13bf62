package presence

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
)

// maxNode is the maximum length of a node's name, in bytes.
const maxNode = 64

// CheckNode returns an error for an invalid name of a node. A name becomes part of keys and subjects. It
// has 1 to 64 of the characters a-z, A-Z, 0-9, _ and -.
func CheckNode(name string) error {
	if name == "" || len(name) > maxNode || strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return fmt.Errorf("%q is not a valid node name; write 1 to %d of the characters a-z, A-Z, 0-9, _ and -", name, maxNode)
	}
	return nil
}

// DefaultNode returns the host's name with a few random characters. Two nodes of a host have different
// names. So have a node before and after a restart, so that old entries do not belong to the new node.
func DefaultNode() string {
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	host = strings.Map(func(r rune) rune {
		if plain(r) {
			return r
		}
		return '-'
	}, host)
	return strings.Trim(host[:min(len(host), maxNode-8)], "-") + "-" + strings.ToLower(rand.Text()[:5])
}

func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}
