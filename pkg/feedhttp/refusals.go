package feedhttp

import "sync/atomic"

// Refusal says which limit turned a request away.
type Refusal uint8

// What is counted.
const (
	RefusedStreams     Refusal = iota // Limits.Streams
	RefusedPerUser                    // Limits.PerUser
	RefusedPerAddress                 // Limits.PerAddress
	RefusedReplays                    // Limits.Replays
	RefusedConnectRate                // Limits.ConnectsPerSecond
	RefusedPublishRate                // Limits.PublishesPerSecond
	refusals
)

var refusalNames = [refusals]string{"streams", "per_user", "per_address", "replays", "connect_rate", "publish_rate"}

// String is the name that a metric has as its label.
func (r Refusal) String() string { return refusalNames[r] }

// refused counts by reason.
type refused [refusals]atomic.Uint64

// Refused are the requests that were turned away since the start, by reason. Reasons that
// did not occur are there, with zero.
func (a *Admission) Refused() map[Refusal]uint64 {
	counts := make(map[Refusal]uint64, refusals)
	for r := range refusals {
		counts[r] = a.refused[r].Load()
	}
	return counts
}
