// Package presence lists the connections of all nodes that share a JetStream key-value bucket.
//
// Use it to find out which users are connected, to which node, since when and at which position. Each node
// adds its own connections and may list those of all nodes:
//
//	p, err := presence.New(nc, js, presence.Options{Node: "node-1"})
//	...
//	go p.Run(ctx)
//	p.Connected(conn)
//	page, err := p.List(ctx, presence.Query{User: "42"})
//
// Guarantees:
//
//   - Connected and Disconnected do not block and do not fail, also during an outage of NATS.
//   - The write rate of a node is limited. After a round over all shards, it pauses for Options.Interval,
//     or longer: one second for each Options.BytesPerSecond written.
//   - A node that stops normally removes its entries. The entries of a node that dies expire with the
//     lifetime (TTL) of the bucket. Nodes refresh unchanged entries after a third of the lifetime.
//   - After an outage of NATS, or the loss of the bucket, a node writes all its entries again.
//   - Memory: about 50 bytes per connection, one value at a time (256 KiB and its compressed form), and
//     Options.EventQueue events.
//   - Age: an entry is as old as the last write of its shard, and up to the lifetime for a dead node. The
//     position of an entry is that of the last write.
//
// How it works inside: a node keeps its connections in memory, in 64 shards by user. It writes each
// changed shard as one value, at most about once a second. A lookup of a user reads one shard of every
// node.
package presence
