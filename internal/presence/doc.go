// Package presence tells who is connected, to which node, since when and at which position,
// over all nodes that share a JetStream key-value bucket.
//
// A node keeps its own connections in memory, in 64 shards by user, and writes each shard
// that has changed as one value, at most about once a second. Looking up a user reads one
// shard of every node.
//
// What it guarantees:
//   - Connected and Disconnected never block and never fail, whatever NATS does.
//   - What a node writes is bounded: a round of all shards, then a pause of Options.Interval
//     at least, and of a second for each Options.BytesPerSecond written.
//   - A node that ends cleanly takes its entries away. One that dies is gone when the
//     bucket's lifetime has passed; a node writes again what has not changed for a third of it.
//   - After an outage of NATS, or a bucket that was lost, everything is written anew.
//   - Memory: some 50 bytes a connection, one value at a time (256 KiB and what it is compressed
//     to), and Options.EventQueue events.
//
// Positions are those of the last write. An entry may be a pause old, and that of a dead node
// a lifetime.
package presence
