package jetstore

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark/tidemark/internal/feed"
)

// epochKey is the stream metadata that names the epoch, for mirrors that share one with
// their origin.
const epochKey = "tidemark.epoch"

// sharesEpoch reports that the stream's positions mean the same in streams that have the
// same tidemark.epoch.
func sharesEpoch(metadata map[string]string) bool { return feed.ValidEpoch(metadata[epochKey]) }

// epoch names the incarnation of a stream. Created survives restarts and changes of the
// configuration; a recreated or restored stream has another.
func epochOf(created time.Time, metadata map[string]string) string {
	if e := metadata[epochKey]; feed.ValidEpoch(e) {
		return e
	}
	const digits, space = 6, 36 * 36 * 36 * 36 * 36 * 36
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(created.UnixNano())))
	hash := strconv.FormatUint(binary.BigEndian.Uint64(sum[:])%space, 36)
	return strings.Repeat("0", digits-len(hash)) + hash
}
