// Package client follows a Tidemark feed over HTTP, for as long as the caller likes. It is
// what `tidemark subscribe` runs on, and needs the standard library and pkg/sse alone.
//
// [Follow] is one loop:
//
//	          ┌──────────────── wait, with jitter ◀───────────────┐
//	          ▼                                                   │
//	load ─▶ connect ──200──▶ read an event ─▶ caller ─▶ save ─┐   │
//	          │                 ▲   │                         │   │
//	          │                 └───│─────────────────────────┘   │
//	          │ 5xx, 429, no answer │ end, abort, silence         │
//	          ├─────────────────────┴─────────────────────────────┘
//	          └ anything else: the end
//
// What holds:
//
//   - Position. Every id that the server names moves the position, which goes back as
//     Last-Event-ID on the next connection. It is saved in [Options.State] when the caller
//     asks for the event after, so an event that the caller did not finish comes again in
//     the next Follow: at least once for the caller, where the connection itself gives each
//     event once.
//   - Reconnects. A stream that ends, in whatever way, is taken up again, and so is an
//     answer of 5xx or 429, without an error to the caller; [Options.OnDisconnect] hears of
//     it. Every other answer would be the same next time and ends the loop with a
//     [*ResponseError].
//   - Silence. A connection on which no byte arrived for [Options.IdleTimeout] is given up:
//     a dead network path gives no error of its own. The time that the caller takes over an
//     event does not count.
//   - Honesty. What the server says about the stream is an event too: [Open], [Gap] and
//     [Close].
//   - No goroutine outlives the loop, and none runs the caller's code.
package client
