package feedhttp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/pkg/auth"
)

// scopedIDPrefix marks ids of events that were published over HTTP, in Nats-Msg-Id.
const scopedIDPrefix = "tm-"

// scopeIDs limits the ids of messages to their publisher and their subject. A stream has one space
// of ids: without it, one id for two recipients would drop the second event as a duplicate, and a
// publisher that guesses an id could suppress the event of another one. The same publisher may
// repeat an event at any node. NATS producers use the stream's ids as they are.
func scopeIDs(id auth.Identity, msgs []feed.Message) {
	for i, m := range msgs {
		if m.ID != "" {
			msgs[i].ID = scopedID(string(id.Kind), id.Publisher, m.Subject, m.ID)
		}
	}
}

// scopedID is a hash, since its parts are longer than an id may be. Each part has its length
// before it, so that no two lists of parts are one text.
func scopedID(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(part))) //nolint:gosec // bounded by the body
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return scopedIDPrefix + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
