package presence

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
)

// maxNode bounds a node's name, in bytes.
const maxNode = 64

// CheckNode says what is wrong with a node's name, which becomes part of keys and subjects:
// 1 to 64 of the characters a-z, A-Z, 0-9, _ and -.
func CheckNode(name string) error {
	if name == "" || len(name) > maxNode || strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return fmt.Errorf("%q cannot name a node; write 1 to %d of the characters a-z, A-Z, 0-9, _ and -", name, maxNode)
	}
	return nil
}

// DefaultNode is the host's name and a few random characters: two nodes of one host differ,
// and a node that was restarted is another one, which nobody's entries are taken for.
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
