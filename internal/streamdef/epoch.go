package streamdef

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

// SharesEpoch reports that a stream has tidemark.epoch: its positions have the same meaning in all
// streams with the same value.
func SharesEpoch(metadata map[string]string) bool { return feed.ValidEpoch(metadata[epochKey]) }

// Epoch names the incarnation of a stream. Its time of creation survives restarts and changes of the
// configuration; a recreated or restored stream has another.
func Epoch(created time.Time, metadata map[string]string) string {
	if e := metadata[epochKey]; feed.ValidEpoch(e) {
		return e
	}
	const digits, space = 6, 36 * 36 * 36 * 36 * 36 * 36
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(created.UnixNano())))
	hash := strconv.FormatUint(binary.BigEndian.Uint64(sum[:])%space, 36)
	return strings.Repeat("0", digits-len(hash)) + hash
}
