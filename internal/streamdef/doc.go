// Package streamdef compares stream definitions with the streams of a NATS server, and creates or
// changes streams.
//
// [Inspect] compares and changes nothing. [Provision] creates a missing stream, and changes an existing
// one only if apply is set. [ProvisionOwned] also marks the streams that it creates, so that
// every node can distinguish them from those of an operator. [Check] finds definitions that no feed can read.
//
// The package also has the meaning of stream metadata: [Epoch] derives the epoch of a stream.
//
// # Guarantees
//
//   - A stream that was just created from a definition shows no difference from it.
//   - Nothing is deleted, and no stream is changed without the parameter apply.
//   - Several nodes may provision the same definition at once: one stream results.
//
// Every function with a context blocks until JetStream answers or the context ends.
package streamdef
