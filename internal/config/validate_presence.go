package config

import (
	"time"

	"github.com/tidemark/tidemark/internal/presence"
)

func (n Node) validate(p *problems) {
	if n.Name == "" {
		return
	}
	if err := presence.CheckNode(n.Name); err != nil {
		p.add("node.name", "%w", err)
	}
}

// leastPresenceTTL keeps the refreshing, at a third of it, from being all that a node does.
const leastPresenceTTL = 5 * time.Second

func (pr Presence) validate(p *problems) {
	if presence.CheckNode(pr.Bucket) != nil { // the same characters
		p.add("presence.bucket", "%q cannot name a bucket; write 1 to 64 of the characters a-z, A-Z, 0-9, _ and -", pr.Bucket)
	}
	atLeastDuration(p, "presence.ttl", pr.TTL, leastPresenceTTL)
	if pr.Replicas < 0 || pr.Replicas > 5 {
		p.add("presence.replicas", "%d is not possible; write 1 to 5, or 0 for what the streams of the feeds have", pr.Replicas)
	}
	if pr.Events == "" {
		return
	}
	if err := presence.CheckPrefix(pr.Events); err != nil {
		p.add("presence.events", "%w", err)
	}
	if !pr.Enabled {
		p.add("presence.events", "none would be published, as presence.enabled is false; set it too, or drop this")
	}
}
