package feedhttp

import "sync/atomic"

// Refusal says why a request was turned away: the limit that it met, or what the node was up to.
type Refusal uint8

// What is counted.
const (
	RefusedStreams        Refusal = iota // Limits.Streams
	RefusedPerUser                       // Limits.PerUser
	RefusedPerAddress                    // Limits.PerAddress
	RefusedReplays                       // Limits.Replays
	RefusedConnectRate                   // Limits.ConnectsPerSecond
	RefusedPublishRate                   // Limits.PublishesPerSecond
	RefusedDraining                      // closed with a retry, for another node: Subscribe.Drain
	RefusedElsewhere                     // answered 503, for the proxy to ask another node: NextUpstream
	RefusedLast                          // Limits.LastWaiting
	RefusedLastPerUser                   // Limits.LastWaitingPerUser
	RefusedLastPerAddress                // Limits.LastWaitingPerAddress
	RefusedLastSubjects                  // Limits.LastSubjects
	RefusedHost                          // a Host name that the listener does not serve
	refusals
)

var refusalNames = [refusals]string{"connections", "connections_per_user", "connections_per_address", "replays", "connect_rate", "publish_rate", "draining", "other_node",
	"last_waiting", "last_waiting_per_user", "last_waiting_per_address", "last_subjects", "host"}

// String is the name that a metric has as its label.
func (r Refusal) String() string { return refusalNames[r] }

// refused counts by reason.
type refused [refusals]atomic.Uint64

func (a *Admission) refuse(why Refusal) {
	if a != nil {
		a.refused[why].Add(1)
	}
}

// Refuse counts a refusal that another handler than those of this package decided.
func (a *Admission) Refuse(why Refusal) { a.refuse(why) }

// Refused are the requests that were turned away since the start, by reason. Reasons that
// did not occur are there, with zero.
func (a *Admission) Refused() map[Refusal]uint64 {
	counts := make(map[Refusal]uint64, refusals)
	for r := range refusals {
		counts[r] = a.refused[r].Load()
	}
	return counts
}
