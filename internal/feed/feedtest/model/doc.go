// Package model plays random histories of a stream, its nodes and its clients, and checks what
// clients receive against the promises of package feed and of docs/reference/gap-protocol.md. Every [Store]
// passes the same model: the in-memory store in the tests of internal/feed, JetStream in those of
// internal/jetstore.
//
// # A history
//
// A seed decides everything that is drawn: the [Profile] (bounds of the window and of pending
// frames, number of nodes, which kinds of events occur) and the operations. Each operation has
// random numbers of its own, so that a shorter list of operations replays in the same way and a
// failure can be reduced. Operations change the stream (publish, trim, delete, purge a subject,
// recreate, remove, back up, restore, roll back, copy from an origin), the way to it (outages, consumers lost, calls
// of the store held before or after the answer) and the clients (open with every kind of start,
// poll, leave in the middle of anything). Clients poll at random, only when woken, or block in
// Next; they resume from positions that other clients were given, also on another node.
//
// At the end all of that stops, every subject gets one more event, and each client must catch up.
//
// # Checks
//
//   - Order: sequences rise within an epoch; no event is delivered twice on a connection; a
//     delivered event was stored with that position and subject, and matches.
//   - Completeness: a stored event that matches is never passed over, neither by a frame, nor by a
//     gap, nor by the position that a heartbeat would name.
//   - Honesty: an event that was removed before it was delivered is announced by a gap on the same
//     connection, before anything after it. A gap answers for everything that was removed before
//     it, because the client reads the state again then (docs/reference/gap-protocol.md).
//   - No false alarm: `trimmed`, `future`, `epoch`, `malformed` and `possible` each need a cause:
//     retention passed the position, the stream ended before it, the incarnation changed, the
//     position cannot be read, something behind the position was deleted.
//   - Positions of the present incarnation are never answered by `epoch`, and no client is moved to
//     an earlier incarnation.
//   - The opening: id, position, resumed, pending and gap agree with the stream at that moment.
//   - Positions: never ahead of the delivered events, and falling only behind a gap.
//   - Ends: a connection that ends with its subjects does so once the latest event of each is an end, and was
//     delivered or lies before its start, and not before that; nor is it answered as complete before.
//   - Calm: when nothing happens any more, every client is live, has everything, and its position
//     is the end of the stream; the feed still runs and holds no replay open.
//   - Removal (where [Kind.RemovedWithin] is set): events that were deleted or trimmed longer ago are not
//     delivered, unless the way to the stream was disturbed.
//
// # Not checked
//
//   - Where sequences were used twice within one epoch, docs/design/positions.md excepts positions beyond what
//     a node had read when that happened; so does the model.
//   - Events that were deleted and that a restored disk brings back: a deletion that is taken back
//     may hide another one, as the stream shows as many as before.
//   - Starts that name no position claim nothing about events that were removed before the
//     connection opened, and `from=last` nothing about those removed or superseded during its replay.
//   - Mirrors on JetStream, replicas that lag in a real cluster, and the time that anything takes.
//
// # Running it
//
// `go test` plays a number of histories that takes some seconds. TIDEMARK_MODEL_SEED,
// TIDEMARK_MODEL_HISTORIES and TIDEMARK_MODEL_DURATION choose others, TIDEMARK_MODEL_FAILURES how many
// failures end a run; `task model` plays for an hour. A history in memory plays the same each time; one on
// JetStream has the same operations, at times of its own.
package model
