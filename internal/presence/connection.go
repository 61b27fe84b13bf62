package presence

import (
	"hash/fnv"
	"strconv"
	"time"
)

// Connection is one open stream of a client, as it is read from the bucket.
type Connection struct {
	// ID is the node's name, a dash, and a number: unique among the connections there are.
	ID       string    `json:"id"`
	User     string    `json:"user,omitempty"` // empty for the anonymous
	Feed     string    `json:"feed"`
	Remote   string    `json:"remote,omitempty"`
	Since    time.Time `json:"since"`
	Position string    `json:"position,omitempty"` // the last id sent, at the last write
	// Node is not stored: it is in the key.
	Node string `json:"node,omitempty"`
}

// Node is what a node says of itself.
type Node struct {
	Name        string    `json:"node"`
	Connections int       `json:"connections"`
	Started     time.Time `json:"started"`
}

// Who is what stays as it is for the life of a connection.
type Who struct {
	ID                 uint64 // unique on the node
	User, Feed, Remote string
	Since              time.Time
}

// Source is an open connection of this node. Values must be comparable; one that is as small
// as a pointer costs no memory of its own.
type Source interface {
	// Who is called from Connected and Disconnected: it must return at once.
	Who() Who
	// Position is called by the writer, without any lock held. Empty when there is none yet.
	Position() string
}

// Shards is into how many parts the connections of every node are divided. Nodes that differ
// would not find each other's users, so it is no option.
const Shards = 64

// shardOf divides by user, so that one shard of each node has all of a user's connections.
// Nobody looks for the anonymous, who are often all there are: they are spread.
func shardOf(w Who) int {
	if w.User == "" {
		return int(w.ID % Shards)
	}
	return userShard(w.User)
}

func userShard(user string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user)) // never fails
	return int(h.Sum32() % Shards)
}

// number is an id as it is stored, without the node.
func number(id uint64) string { return strconv.FormatUint(id, 36) }
