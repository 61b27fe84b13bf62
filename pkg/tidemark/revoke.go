package tidemark

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tidemark/tidemark/pkg/auth"
)

// clockLeeway is how far the clock of an issuer of tokens may be ahead, as auth.JWTOptions has it by default.
const clockLeeway = 30 * time.Second

// Revoke closes the connections of a user or of a token with tidemark.close and the reason revoked. For as long as
// Options.RevokeFor it rejects that user's tokens issued up to now, or that token. It returns the number of
// connections that it closes; they may end after it has returned.
//
//   - The user is [auth.Identity].User, not its encoding in subjects. The token is [auth.Identity].TokenID.
//   - Only identities with a TokenID or with Issued are rejected later. An identity without them, such as that of a
//     session or of a gateway's header, loses its open connections: end the session first, and then call Revoke.
//   - It has an effect in this process alone, until its end. Call it in each process that serves the feed, for
//     example upon a NATS message.
//   - The error names the field of rev that is not valid. It does not block.
func (f *Feed) Revoke(rev auth.Revocation) (closed int, err error) {
	if err := rev.Check(); err != nil {
		return 0, fmt.Errorf("tidemark: %w", err)
	}
	now := time.Now()
	// First: a connection that is opened from now on is rejected by the list, earlier ones are found below.
	if dropped := f.revoked.Add(rev, now); dropped > 0 {
		f.config.Logger.Error("revocation: list full; the oldest are evicted; their tokens are accepted until they expire", "evicted", dropped)
	}
	f.mu.Lock()
	handlers := slices.Collect(maps.Values(f.handlers))
	f.mu.Unlock()
	for _, h := range handlers {
		closed += h.Revoke(rev, now)
	}
	return closed, nil
}
