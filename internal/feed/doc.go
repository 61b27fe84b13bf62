// Package feed is the heart of Tidemark: it turns a stored stream into many subscriptions
// that resume exactly. It knows no HTTP and no NATS; a Log gives it the stream.
//
// # Guarantees
//
//   - Order: the frames of a Subscription have rising sequences within an epoch.
//   - No gap, no duplicate: between the position that a Subscription starts at and now,
//     every stored event that its filters match comes exactly once.
//   - Honesty: what cannot be had is announced by a Gap before the frames that follow it.
//   - Deleted events are not sent two seconds after their deletion, while the leader answers. The
//     window follows the stream: see Feed.reconcile.
//   - A slow reader harms nobody: what waits for it is bounded (Options.MaxPending), and the
//     tail never waits for it. When the bound is reached the subscription drops its list,
//     keeps its cursor, and catches up from the window or from the log.
//   - Replays share a ReplayBudget, over all feeds that were given the same one: what they have
//     requested or read, and not sent, is bounded. Suspend gives a replay's part of it back.
//
// # The way of the data
//
//	Log.Follow ──▶ Feed.Run (the tail) ──▶ window ──▶ index ──▶ live Subscriptions
//	Log.Read  ─────────────────────────────────────────────────▶ Subscriptions behind
//
// # Subscription
//
//	            Subscribe
//	                │
//	                ▼
//	┌────────▶ catching up ───── cursor within the window ─────▶ live
//	│            │      ▲                                         │
//	│  too old   ▼      │ level with what the log held            │
//	│          replay from the log                                │
//	│                                                             │
//	└── pending list full, hole in the tail, stream recreated ◀───┘
//
// A gap for deletions may wait for the next second. Then the subscription waits between catching up
// and live, and the frames after the gap wait in the window.
//
// # Losses
//
// Where the tail cannot continue at the next sequence it resets: it continues elsewhere, or in
// another incarnation. These rules keep subscriptions exact through any number of resets:
//
//   - A reset moves a live subscription, as it has no other way to learn of the loss. One that is
//     behind compares its position with the stream whenever it reads the log, and so finds
//     deletions, retention and another incarnation by itself. It cannot find that the stream lost
//     its end and has grown again. That alone moves it, or announces that its sequence was reused.
//   - A second reset before the next Poll is applied to the position that the first one moved the
//     subscription to. Nothing that is stored behind that position is skipped.
//   - A reset does not reach a subscription that Subscribe is placing: its position is verified
//     against the stream, and what was lost since then is made up for when the opening ends.
//   - A reset that moves a subscription makes the result of a Fetch under way void.
//   - Every answer of the log is checked against the incarnation that the cursor is meant for.
//     Numbers of deletions alone prove nothing: they are compared together with the first sequence.
//   - Position never falls, except behind a gap.
//
// The join is exact because the tail appends to the window and offers to the index under
// Feed.mu, and a subscription reads the window and enters the index under the same lock:
// an event is either in what it read, or offered to it afterwards.
//
// # Blocking and closing
//
// Feed.Run owns the tail and returns when its context ends. A tail that fails is restarted with
// back-off; its subscriptions stay open and wait, and Status shows the failure. Subscribe blocks until the feed
// knows its stream. Subscription.Next blocks until there is something to send. Whoever
// called Subscribe calls Close. Locks are taken in the order Feed.mu, Subscription.mu.
package feed
