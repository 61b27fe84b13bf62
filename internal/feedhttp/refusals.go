package feedhttp

import "sync/atomic"

// Refusal is the reason to refuse a request: a limit, or the state of the node.
type Refusal uint8

// The reasons that are counted.
const (
	RefusedConnections           Refusal = iota // Limits.Streams
	RefusedPerUser                              // Limits.PerUser
	RefusedPerAddress                           // Limits.PerAddress
	RefusedReplays                              // Limits.Replays
	RefusedConnectRate                          // Limits.ConnectsPerSecond
	RefusedPublishRate                          // Limits.PublishesPerSecond
	RefusedDraining                             // closed with a retry, for another node: Subscribe.Drain
	RefusedOtherNode                            // answered 503, for the proxy to ask another node: NextUpstream
	RefusedLastWaiting                          // Limits.LastWaiting
	RefusedLastWaitingPerUser                   // Limits.LastWaitingPerUser
	RefusedLastWaitingPerAddress                // Limits.LastWaitingPerAddress
	RefusedLastSubjects                         // Limits.LastSubjects
	RefusedHost                                 // a Host name that the listener does not serve
	refusals
)

var refusalNames = [refusals]string{"connections", "connections_per_user", "connections_per_address", "replays", "connect_rate", "publish_rate", "draining", "other_node",
	"last_waiting", "last_waiting_per_user", "last_waiting_per_address", "last_subjects", "host"}

// String returns the label in metrics.
func (r Refusal) String() string { return refusalNames[r] }

// refused counts by reason.
type refused [refusals]atomic.Uint64

// Refuse counts a refusal, also by a handler of another package.
func (a *Admission) Refuse(why Refusal) { a.refused[why].Add(1) }

// Refused returns the number of refused requests since the start, by reason. It has all reasons, also those
// that did not occur.
func (a *Admission) Refused() map[Refusal]uint64 {
	counts := make(map[Refusal]uint64, refusals)
	for r := range refusals {
		counts[r] = a.refused[r].Load()
	}
	return counts
}
