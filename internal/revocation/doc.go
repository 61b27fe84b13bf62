// Package revocation applies revocations of tokens and users to a node.
//
// Revocations are published on [Subject] and stored by [Stream], which every node creates where it is missing. A
// node applies them twice: at once by a subscription, which also works where the stream is full or cannot be
// read, and from the stream, so that a node that starts later or was disconnected misses none.
//
//	f := revocation.New(revocation.Options{Remembered: &revoked, Disconnect: disconnect})
//	err := f.Subscribe(nc)        // before connections are accepted
//	f.Run(ctx, nc, js)            // blocks until ctx ends
//
// # Guarantees
//
//   - A revocation is remembered before connections are closed, so that no connection is accepted between.
//   - A node is not ready ([Follower.Check]) until it has read the stream to the end of its start. A node that
//     may not read or create the stream serves, and applies what is published while it is connected.
//   - Messages cost a bounded amount, whatever they hold. Invalid ones are counted, and logged every ten seconds
//     at most.
package revocation
