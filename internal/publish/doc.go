// Package publish stores events in JetStream: it implements feed.Publisher.
//
//	p, err := publish.New(nc, publish.Options{})
//	…
//	defer p.Close()
//	results := p.Publish(ctx, feed.Message{Subject: "notifications.user.42", Data: data, ID: id})
//
// # Guarantees
//
//   - Messages of one call are stored in their order, except for the repeats of an ID; see
//     [Publisher.Publish].
//   - An error that is feed.ErrNotStored means that the message is not stored. Every other error leaves the
//     outcome open, and publishing again with the same ID is safe within the stream's duplicate window.
//   - Nothing is buffered: without a connection, publishing fails.
//   - The position of an acknowledgement has the epoch of the stream's present incarnation, or no epoch
//     where it is not known, except within Options.EpochTTL after the stream was recreated.
//
// # Permissions
//
// A Publisher needs the subjects that it publishes to, $JS.API.STREAM.INFO.* of the streams that store
// them, and $JS.API.STREAM.NAMES, which distinguishes a subject without a stream from a stream without a
// leader. A request that is not permitted looks like a request without an answer.
package publish
