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

// PresenceRight is an entry among the filters of an API key. It grants access to the presence API.
const PresenceRight = "+presence"

// AdminRight is an entry among the filters of an API key. It grants access to the admin API from other
// machines.
const AdminRight = "+admin"

func isRight(filter string) bool { return filter == PresenceRight || filter == AdminRight }

// APIKeys authenticates requests by API keys. Create it with OpenAPIKeys.
//
// Only the SHA-256 of a key is stored. A slow hash is not necessary: unlike a password, a key of 32
// random bytes cannot be guessed.
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

// maxKeyLen is the length of the longest key to hash, in bytes; keys have 47 bytes.
const maxKeyLen = 128

// NewAPIKey creates a key, and its line for the file of keys. The key itself is not stored.
//
// The key may publish to subjects that match one of the filters. The entries PresenceRight and
// AdminRight grant access to the presence API and the admin API. The name appears in logs and
// revocations. It must be one token of a subject, without dots, wildcards, white space and control
// characters.
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

// Identify is a Source for API keys. It reads X-API-Key, and Authorization: Bearer if the token has the
// prefix of API keys.
//
// It compares the key with every stored key in constant time. The identity has no variables, so a key
// cannot read the events of a user. Its TokenID is the name of the key.
func (k *APIKeys) Identify(r *http.Request) (Identity, error) {
	key, err := apiKeyOf(r)
	if err != nil {
		return Identity{}, err
	}
	found := k.matchKey(key)
	if found == nil {
		return Identity{}, invalidToken("unknown API key; create one with the command `tidemark token`")
	}
	return Identity{Kind: KindAPIKey, TokenID: found.name, Publisher: found.name, Publish: found.subjects, Presence: found.presence, Admin: found.admin}, nil
}

func apiKeyOf(r *http.Request) (string, error) {
	var c requestToken
	c.bearer(r)
	if c.err != nil {
		return "", c.err
	}
	if !strings.HasPrefix(c.token, keyPrefix) {
		c.token = ""
	}
	values := r.Header.Values("X-Api-Key")
	if len(values) > 1 {
		return "", invalidRequest("the header X-API-Key occurs %d times; send it once", len(values))
	}
	if len(values) == 1 {
		c.add(values[0])
	}
	switch {
	case c.err != nil:
		return "", c.err
	case c.token == "":
		return "", ErrNoIdentity
	}
	return c.token, nil
}

// matchKey compares all keys, also after a match, so that its duration reveals nothing.
func (k *APIKeys) matchKey(key string) (found *apiKey) {
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
		return fmt.Errorf("the name begins with %s or #; use a name, not the key itself or a comment", keyPrefix)
	}
	if len(filters) == 0 {
		return fmt.Errorf("name the subjects that the key may publish to, such as news.>, or %s or %s", PresenceRight, AdminRight)
	}
	for i, f := range filters {
		if strings.HasPrefix(f, "+") && !isRight(f) {
			return fmt.Errorf("subject %d begins with +, which is reserved for the rights %s and %s", i+1, PresenceRight, AdminRight)
		}
		if err := subject.CheckFilter(f); err != nil {
			return fmt.Errorf("subject %d is not a subject pattern; write tokens joined by dots, * for one token and > at the end for the rest", i+1)
		}
	}
	return nil
}
