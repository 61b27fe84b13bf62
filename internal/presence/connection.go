package presence

import (
	"hash/fnv"
	"strconv"
	"time"
)

// Connection is an open connection, as read from the bucket.
type Connection struct {
	// ID is the node's name, a dash, and a number. It is unique among the open connections.
	ID       string    `json:"id"`
	User     string    `json:"user,omitempty"` // empty for an anonymous client
	Feed     string    `json:"feed"`
	Remote   string    `json:"remote,omitempty"`
	Since    time.Time `json:"since"`
	Position string    `json:"position,omitempty"` // the last id sent, at the last write
	// Node is not a part of the stored value. It is taken from the key.
	Node string `json:"node,omitempty"`
}

// Node is the entry of a node about itself.
type Node struct {
	Name        string    `json:"node"`
	Connections int       `json:"connections"`
	Started     time.Time `json:"started"`
}

// ConnInfo contains the constant properties of a connection.
type ConnInfo struct {
	ID                 uint64 // unique on the node
	User, Feed, Remote string
	Since              time.Time
}

// Source is an open connection of this node. Values must be comparable. A pointer needs no additional
// memory.
type Source interface {
	// Info is called from Connected and Disconnected, and must not block.
	Info() ConnInfo
	// Position is called by the writer without a lock. It returns "" before the first position.
	Position() string
}

// Shards is the number of shards of each node. It is not configurable, because nodes with different
// numbers would not find each other's users.
const Shards = 64

// shardOf returns the shard of a connection. All connections of a user are in the same shard, so that a
// lookup reads one shard of each node. Anonymous connections are never looked up, and are distributed
// over all shards.
func shardOf(w ConnInfo) int {
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

// number returns the stored form of an id, without the node.
func number(id uint64) string { return strconv.FormatUint(id, 36) }
