package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/tidemark/tidemark/internal/subject"
)

// PresenceRight stands among the filters of an API key that may read who is connected.
const PresenceRight = "+presence"

// AdminRight stands among the filters of an API key that may operate a node from elsewhere.
const AdminRight = "+admin"

func isRight(filter string) bool { return filter == PresenceRight || filter == AdminRight }

// APIKeys are keys for publishing, and for reading who is connected. What is stored of each is its SHA-256 alone. A slow hash
// would only burn time: a key is 32 random bytes, which nobody guesses however fast, unlike a
// password. Make one with OpenAPIKeys.
type APIKeys struct {
	file string
	keys atomic.Pointer[[]apiKey]
}

type apiKey struct {
	name     string
	hash     [sha256.Size]byte
	subjects []string
	presence bool
	admin    bool
}

// maxKeyLen bounds what is hashed of a request; keys have 47 bytes.
const maxKeyLen = 128

// NewAPIKey makes a key, and the line that a file of keys knows it by. The key is shown once
// and stored nowhere. It may publish to the subjects that match one of the filters, among which
// PresenceRight lets it read who is connected and AdminRight lets it operate a node; name is for logs and revocations, and one token of a subject: no dots, wildcards, white space and control characters.
func NewAPIKey(name string, filters ...string) (key, line string, err error) {
	if err := checkKeyLine(name, filters); err != nil {
		return "", "", fmt.Errorf("api key: %w", err)
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	key = keyPrefix + base64.RawURLEncoding.EncodeToString(random)
	hash := sha256.Sum256([]byte(key))
	return key, fmt.Sprintf("%s %s%s %s", name, hashPrefix, hex.EncodeToString(hash[:]), strings.Join(filters, " ")), nil
}

// Identify is a Source: it takes a key from X-API-Key, or from Authorization: Bearer where
// the token begins as keys do. It compares with every key in constant time. The identity has
// no variables, so that a key reads nothing in a user's name; its TokenID is the key's name.
func (k *APIKeys) Identify(r *http.Request) (Identity, error) {
	key, err := carriedKey(r)
	if err != nil {
		return Identity{}, err
	}
	found := k.find(key)
	if found == nil {
		return Identity{}, invalidToken("the API key is not known; make one with the command `tidemark token`")
	}
	return Identity{Kind: KindAPIKey, TokenID: found.name, Publisher: found.name, Publish: found.subjects, Presence: found.presence, Admin: found.admin}, nil
}

func carriedKey(r *http.Request) (string, error) {
	var c carried
	c.bearer(r)
	if c.bad != nil {
		return "", c.bad
	}
	if !strings.HasPrefix(c.token, keyPrefix) {
		c.token = ""
	}
	values := r.Header.Values("X-Api-Key")
	if len(values) > 1 {
		return "", invalidRequest("the header X-API-Key is there %d times; send it once", len(values))
	}
	if len(values) == 1 {
		c.add(values[0])
	}
	switch {
	case c.bad != nil:
		return "", c.bad
	case c.token == "":
		return "", ErrNoIdentity
	}
	return c.token, nil
}

// find looks at every key, also behind the one that fits, so that its time tells nothing.
func (k *APIKeys) find(key string) (found *apiKey) {
	if len(key) > maxKeyLen {
		return nil
	}
	hash := sha256.Sum256([]byte(key))
	keys := *k.keys.Load()
	for i := range keys {
		if subtle.ConstantTimeCompare(hash[:], keys[i].hash[:]) == 1 {
			found = &keys[i]
		}
	}
	return found
}

func checkKeyLine(name string, filters []string) error {
	if err := subject.CheckToken(name); err != nil {
		return fmt.Errorf("the name %w", err)
	}
	if len(name) > maxTokenID {
		return fmt.Errorf("the name is longer than %d bytes", maxTokenID)
	}
	if strings.HasPrefix(name, keyPrefix) || strings.HasPrefix(name, "#") {
		return fmt.Errorf("the name begins with %s or #; it is a name, never the key itself, and no comment", keyPrefix)
	}
	if len(filters) == 0 {
		return fmt.Errorf("name the subjects that the key may publish to, such as news.>, or %s or %s", PresenceRight, AdminRight)
	}
	for i, f := range filters {
		if strings.HasPrefix(f, "+") && !isRight(f) {
			return fmt.Errorf("subject %d begins with +, which is for rights; there are %s and %s", i+1, PresenceRight, AdminRight)
		}
		if err := subject.CheckFilter(f); err != nil {
			return fmt.Errorf("subject %d is no subject pattern: tokens joined by dots, of which * stands for one and > at the end for the rest", i+1)
		}
	}
	return nil
}
