// Package jetstore keeps feed.Store and feed.Publisher in NATS JetStream.
//
// # Guarantees
//
//   - Order and completeness: a Reader and Follow give every stored event of their range
//     once and in order, through lost connections, dead consumers, restarted servers and
//     full channels. A break is noticed by a gap in the consumer's own count of deliveries,
//     by a missing heartbeat or by a change of the connection, and healed by a new consumer
//     at the next sequence.
//   - The end of a replay is proved: a consumer with nothing pending may sit on a replica
//     that lags, so the stream's leader is asked before io.EOF.
//   - Follow is late by more than about a second only while no replica is better: each second
//     the stream's leader is asked where the stream ends, and a consumer that does not know of
//     it is replaced. While no consumer can be had, the leader is read message by message.
//   - Messages that are read one by one are of the incarnation that is followed: the leader is
//     asked for it after they were read.
//   - A stream whose newest messages are deleted before the tail reads them is reported as read
//     within about two seconds, without another publish and with the consumer that there is. The
//     leader proves it: it has no message from the tail's next sequence on.
//   - A stream that lost its end is found by the times of messages that were read before, which
//     also show up to where nothing was given twice.
//   - No message can pose as a word of the server. The payload and the headers of a
//     delivery are the publisher's; only its reply subject is the server's, so that alone
//     tells deliveries ($JS.ACK.…) and statuses apart.
//   - Nothing is left behind: consumers are deleted when their reader ends, also where the
//     caller went away while they were being created. What cannot be deleted (NATS is
//     down) the server drops after Options.InactiveThreshold.
//
// # Blocking and closing
//
// Open does not touch the network. Methods with a context block until NATS answers or the
// context ends; what is transient is retried with jittered pauses. Whoever opened a Log
// closes it, after its readers and followers; Close waits for the deletes that are under
// way, for a few seconds at most. The connection belongs to the caller.
//
// # Permissions
//
// For a stream S, publish to these, and subscribe to the connection's inbox prefix:
//
//	$JS.API.STREAM.INFO.S
//	$JS.API.STREAM.MSG.GET.S
//	$JS.API.CONSUMER.CREATE.S.>
//	$JS.API.CONSUMER.MSG.NEXT.S.>
//	$JS.API.CONSUMER.DELETE.S.>
//
// A Publisher needs the subjects that it publishes to, STREAM.INFO, and
// $JS.API.STREAM.NAMES, which tells a subject that no stream takes from a stream that has
// no leader. A request that is not permitted looks like one that nobody answers.
package jetstore
