// Package client follows a Tidemark feed over HTTP and reconnects without losing events.
//
// Use it in Go programs that consume a feed. `tidemark subscribe` uses it. It depends only on
// the standard library and pkg/sse.
//
//	opts := client.Options{URL: "http://localhost:8080/events", State: client.FileState("position")}
//	for ev, err := range client.Follow(ctx, opts) {
//		if err != nil {
//			return err // ctx has ended, or a reconnect would fail in the same way
//		}
//		handle(ev)
//	}
//
// [Follow] is one loop:
//
//	          ┌──────────────── wait, with jitter ◀───────────────┐
//	          ▼                                                   │
//	load ─▶ connect ──200──▶ read an event ─▶ caller ─▶ save ─┐   │
//	          │                 ▲   │                         │   │
//	          │                 └───│─────────────────────────┘   │
//	          │ 5xx, 429, no answer │ end, abort, idle timeout    │
//	          ├─────────────────────┴─────────────────────────────┘
//	          └ any other answer: return an error
//
// Guarantees:
//
//   - Position. Each event id received becomes the position, and the next connection sends it as
//     Last-Event-ID. The position is saved in [Options.State] when the loop requests the next
//     event. If the caller does not finish an event, the next Follow yields it again. Events are
//     therefore delivered at least once across calls of Follow, and once within a call.
//   - Ends. With [Options.UntilEnd] Follow ends without an error when all subjects are complete: the
//     server has sent a [Close] with [CloseComplete], or has answered a reconnect with 204.
//   - Reconnects. Follow reconnects after any other end of a connection and after the statuses 5xx and 429.
//     It reports these to [Options.OnDisconnect], not to the caller. Any other status would be
//     repeated, and ends the loop with a [*ResponseError].
//   - Idle timeout. Follow closes a connection on which no byte arrived for [Options.IdleTimeout],
//     because a dead network path causes no error. The time that the caller spends on an event
//     does not count.
//   - Control events. Follow yields the server's reports about the connection as events: [Open], [Gap]
//     and [Close].
//   - Goroutines. All goroutines end with the loop. The caller's code runs in its own goroutine.
package client
