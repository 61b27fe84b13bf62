package health

import (
	"time"

	"github.com/tidemark/tidemark/internal/feed"
	"github.com/tidemark/tidemark/internal/presence"
)

// Report is the answer of /readyz and, with Detail, of /admin/status.
type Report struct {
	// Status is ok, degraded (events are read, but not stored, or revocations are not) or unavailable.
	Status string            `json:"status"`
	Checks map[string]string `json:"checks,omitempty"`
	// Streams are the open connections, and Replays those of them that replay.
	Streams int `json:"connections"`
	Replays int `json:"replays"`
	// Refused counts rejected requests since the start, by reason; headers_ignored are the
	// requests with identity headers of peers that are not trusted.
	Refused map[string]uint64 `json:"rejections,omitempty"`
	// Windows are by stream.
	Windows map[string]Window `json:"windows,omitempty"`
	// Stored are the streams as their leaders have them, by name. A stream whose leader did not answer is
	// omitted.
	Stored map[string]Stored `json:"stored,omitempty"`
	// NATS is the server that this node is connected to; empty while there is none, or where
	// its name is not known.
	NATS string `json:"nats,omitempty"`
	// Node is the name of this node.
	Node string `json:"node"`
	// Presence is the state of presence; nil where it is off. Its errors do not make the node
	// unready, because no events depend on it.
	Presence *presence.Status `json:"presence,omitempty"`
	// Detail is for operators: /admin/status, and the micro service's status.
	*Detail
}

// Detail is the part of a Report for operators.
type Detail struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	// Engine is http.engine: auto or off.
	Engine string `json:"engine"`
	// Since the start, of all feeds. Events are deliveries.
	Connects uint64 `json:"connects"`
	Events   uint64 `json:"events"`
	Bytes    uint64 `json:"bytes"`
	// Tails are by stream.
	Tails map[string]Tail `json:"tails"`
	// ReplayBytes are the bytes of limits.replay_bytes in use.
	ReplayBytes ReplayBytes `json:"replay_bytes"`
}

// ReplayBytes is the budget of replays.
type ReplayBytes struct {
	Used      int    `json:"used"` // bytes
	Limit     int    `json:"limit"`
	Waiting   int    `json:"waiting"`   // replays
	Suspended uint64 `json:"suspended"` // times since the start that a client read nothing for a second
}

// Window is the part of a stream in the memory of a node.
type Window struct {
	First  uint64 `json:"first"` // sequence
	Last   uint64 `json:"last"`
	Events int    `json:"events"`
	Bytes  int    `json:"bytes"`
	// Resumes that the window could serve, and those that had to read the stream. HitRatio is
	// the share of the former; where it is low, a larger window saves consumers.
	FromWindow uint64  `json:"from_window"`
	FromStore  uint64  `json:"from_stream"`
	HitRatio   float64 `json:"hit_ratio"`
}

// Stored is a stream at its leader.
type Stored struct {
	First     uint64 `json:"first"` // sequence; last+1 where nothing is stored
	Last      uint64 `json:"last"`
	Epoch     string `json:"epoch"`
	Consumers int    `json:"consumers"` // of all nodes, and of others
}

// Tail is how far a node has followed a stream.
type Tail struct {
	Position string `json:"position"`
	Last     uint64 `json:"last"`   // of the stream, at its leader
	Behind   uint64 `json:"behind"` // sequences
	// Lost is why the stream is out of reach; empty while it is followed.
	Lost string `json:"lost,omitempty"`
	// Resets are how often the tail could not continue where it was, by reason.
	Resets map[feed.Reason]uint64 `json:"resets"`
}
