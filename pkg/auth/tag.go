package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"slices"
	"sync/atomic"
)

// MinTagKey is how many bytes the key of a Tagger has at least.
const MinTagKey = 16

// Tagger computes opaque tags of identities: two requests have the same tag if they are of the same
// account. Nobody without the key can compute a tag, or find the account of one by trying names.
// The zero value has no key, and its tags are empty. Safe for concurrent use.
type Tagger struct{ key atomic.Pointer[[]byte] }

// SetKey sets the key. It must be the same at all nodes that a client may reach.
func (t *Tagger) SetKey(key []byte) {
	key = slices.Clone(key)
	t.key.Store(&key)
}

// Ready reports whether there is a key.
func (t *Tagger) Ready() bool { return t.key.Load() != nil }

// Tag returns 22 characters of base64url; empty without a key. It is a keyed hash over the kind of the
// identity, all its variables (two tenants may both have a user 42) and the name of an API key. A
// renewed token of the same account has the same tag.
func (t *Tagger) Tag(id Identity) string {
	key := t.key.Load()
	if key == nil {
		return ""
	}
	kind := id.Kind
	if kind == "" {
		kind = KindAnonymous
	}
	parts := []string{string(kind)}
	for _, name := range slices.Sorted(maps.Keys(id.Vars)) {
		parts = append(parts, name, id.Vars[name])
	}
	if kind == KindAPIKey {
		parts = append(parts, id.TokenID)
	}
	var input []byte
	for _, part := range parts { // the lengths keep different parts from being the same input
		input = binary.AppendUvarint(input, uint64(len(part)))
		input = append(input, part...)
	}
	mac := hmac.New(sha256.New, *key)
	_, _ = mac.Write(input) // never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}
