// Package jetstore reads and follows JetStream streams: it implements feed.Store.
//
// Use it for a feed that is stored in JetStream. One [Store] reads one stream over one connection, or over
// two where replays have a connection of their own:
//
//	store, err := jetstore.Open(nc, jetstore.Options{Stream: "NOTIFICATIONS"})
//	…
//	defer store.Close()
//	for ev, err := range store.Follow(ctx, feed.FollowOptions{From: 1}) {
//		…
//	}
//
// Package publish stores events, package streamdef creates streams, and package natsconn makes connections.
//
// # Guarantees
//
//   - Order and completeness: a Reader and Follow give every stored event of their range
//     once and in order, through lost connections, dead consumers, restarted servers and
//     full channels. A break is noticed by a gap in the consumer's own count of deliveries,
//     by a missing heartbeat or by a change of the connection, and a new consumer at the next
//     sequence heals it.
//   - The end of a replay is verified: a consumer with nothing pending may sit on a replica
//     that lags, so the stream's leader is consulted before io.EOF.
//   - Follow is late by more than about a second only while no replica is better: each second
//     it requests the end of the stream from the leader, and replaces a consumer that has not reached
//     it. While no consumer can be created, the leader is read message by message.
//   - Messages that are read one by one are of the incarnation that is followed: its epoch is
//     requested after they were read.
//   - A stream whose newest messages are deleted before the tail reads them is reported as read
//     within about two seconds, without another publish and with the existing consumer. The
//     leader confirms it: it has no message from the tail's next sequence on.
//   - A stream that lost its end is found by the times of messages that were read before, which
//     also show up to where no sequence was assigned twice.
//   - No message can pose as a status of the server. The payload and the headers of a
//     delivery are the publisher's; only its reply subject is the server's, so that alone
//     distinguishes deliveries ($JS.ACK.…) from statuses.
//   - Nothing is left behind: consumers are deleted when their reader ends, also where the
//     caller went away while they were being created. The server deletes what cannot be deleted (NATS is
//     down) after Options.InactiveThreshold.
//
// # Blocking and closing
//
// Open does not use the network. Methods with a context block until NATS answers or the
// context ends; transient failures are retried with jittered pauses. The caller closes a Store after
// its readers and followers; Close waits for the deletes that are under
// way, for a few seconds at most. The connections belong to the caller.
//
// # How a replay moves
//
// A reader has one state. reader.move changes it, and a consumer exists in the states pulling, drained and
// complete only. reader.detach alone decides to replace a consumer.
//
//	state     when                                              next
//	detached  a consumer was created with messages pending      pulling
//	detached  a consumer was created with nothing pending       drained
//	pulling   the last event was read, nothing else is pending  drained
//	pulling   a heartbeat: the consumer has nothing             drained
//	pulling   the event at To was read                          complete
//	pulling   the consumer failed                               detached
//	drained   the leader has no more events either              complete
//	drained   the leader has more                               pulling, after three times detached
//	complete  the state of the stream was read                  finished
//	pulling, drained, complete: Next fails                      detached
//	any: Close                                                  closed
//
// An empty range starts complete, without a consumer.
//
// # How a follower moves
//
// A follower has one state. follower.move changes it, and follower.decide alone decides after a failure: to
// end, to replace the consumer, or to read without one.
//
//	state       when                                            next
//	starting    the stream is suitable, a consumer was created  waiting
//	connecting  a consumer was created                          waiting
//	connecting  no consumer can be created                      direct
//	direct      a second has passed, or the leader fails too    connecting
//	waiting     an event, a heartbeat or an empty answer        delivering
//	waiting     the consumer failed                             connecting; an outage after three
//	delivering  the consumer failed, or it lags                 connecting
//	any         a loss; the caller, connection or context ends  ended
//
// A failure while starting is retried in that state. An outage is reported through FollowOptions.Contact, and
// so is its end.
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
// A request that is not permitted looks like a request without an answer.
package jetstore
