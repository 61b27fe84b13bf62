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

// MinTagKey is the minimum length of the key of a Tagger, in bytes.
const MinTagKey = 16

// Tagger computes opaque tags of identities. Requests of the same account have the same tag.
//
// Without the key a tag can neither be computed nor be matched to an account by trying names. The zero
// value has no key, and its tags are empty. A Tagger is safe for concurrent use.
type Tagger struct{ key atomic.Pointer[[]byte] }

// SetKey sets the key. Use the same key at all nodes of a cluster.
func (t *Tagger) SetKey(key []byte) {
	key = slices.Clone(key)
	t.key.Store(&key)
}

// Ready reports whether there is a key.
func (t *Tagger) Ready() bool { return t.key.Load() != nil }

// Tag returns a tag of 22 base64url characters, or "" without a key.
//
// It is a keyed hash of the kind of the identity, all its variables (two tenants may both have a user
// 42) and the name of an API key. A renewed token of the same account has the same tag.
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
	for _, part := range parts { // the lengths make the input unambiguous
		input = binary.AppendUvarint(input, uint64(len(part)))
		input = append(input, part...)
	}
	mac := hmac.New(sha256.New, *key)
	_, _ = mac.Write(input) // never fails
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}
