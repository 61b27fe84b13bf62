// Package feed turns a stored stream into many subscriptions that resume exactly. It has no knowledge
// of HTTP and NATS: a [Store] reads and follows the stream.
//
// Use a [Feed] for each stream that a node serves, and a [Subscription] for each connection:
//
//	f := feed.New(store, feed.Options{})
//	go f.Run(ctx)
//	sub, err := f.Subscribe(ctx, feed.SubscribeOptions{Filters: []string{"news.>"}, Start: feed.Resume("1042-k7f3q9")})
//	if err != nil {
//		return err
//	}
//	defer sub.Close()
//	for {
//		delivery, err := sub.Next(ctx) // sub.StartInfo() has the first gap
//		…
//	}
//
// # Guarantees
//
//   - Order: the frames of a Subscription have rising sequences within an epoch.
//   - No gap, no duplicate: between the position at which a Subscription starts and now,
//     every stored event that its filters match is returned exactly once.
//   - Honesty: a Gap announces events that cannot be delivered, before the frames that follow it.
//   - Deleted events are not sent two seconds after their deletion, while the leader answers. The
//     window follows the stream: see Feed.reconcile.
//   - A slow client does not delay others: its pending frames are bounded ([Options.MaxPending]), and
//     the tail does not wait for it. When the bound is reached, the subscription drops its queue,
//     keeps its cursor, and catches up from the window or from the store.
//   - Replays share a [ReplayBudget], over all feeds that have the same one: the bytes that they have
//     requested or read, and not sent, are bounded. Suspend gives the bytes of a replay back.
//
// # Blocking and closing
//
//   - Feed.Run owns the tail and returns when its context ends. A tail that fails is restarted with
//     back-off; its subscriptions stay open and wait, and Status has the failure.
//   - Feed.Subscribe blocks until the feed is ready, and until the store has answered where the start
//     requires it. TrySubscribe does not block.
//   - Subscription.Poll does not block. Fetch blocks on the store, Next until there is something to send.
//   - The caller of Subscribe calls Close. Subscriptions do not outlive Run: they return ErrClosed.
//
// # Ends
//
// A subscription with [SubscribeOptions].UntilEnd returns [ErrComplete] from Poll when everything was returned
// and the latest event of each of its subjects is an end ([Event].End). The events that were returned decide. A
// subject without any is looked up, in the window or in the store, as is each subject after a gap: see ends.
//
// # The way of an event
//
//	Store.Follow ──▶ Feed.Run (the tail) ──▶ Feed.publish ──▶ window
//	                                              └─ index ──▶ Subscription.enqueue ──▶ queue ──▶ Poll
//	Store.Read ─────────────────────────────────────────────────────────────────────────────────▶ Fetch
//
// The join is exact because the tail appends to the window and to the queues under Feed.mu, and a
// subscription reads the last frames of the window and enters the index under the same lock: an event
// is either among those frames, or is enqueued afterwards.
//
// # States of a subscription
//
//	           Subscribe
//	               │
//	            starting ─────────────┐
//	               │                  │ a replay was opened
//	               ▼                  ▼
//	┌───────▶ catching up ◀────▶ replaying ◀────▶ suspended
//	│              │
//	│              │ at the end of the window
//	│              ▼
//	│             live ─────▶ resyncing
//	│ queue overflow, │           │
//	│ gap             │           │ Poll
//	└─────────────────┴───────────┘
//
// Subscription.setStateLocked is the only function that changes the state. These are the transitions:
//
//	from         to           when
//	starting     catching up  Subscribe has placed the cursor
//	starting     replaying    Subscribe has opened a replay
//	catching up  live         the cursor has reached the end of the window
//	catching up  replaying    the window does not cover the cursor: Fetch has opened a reader of the store
//	catching up  suspended    the last frames of a replay of the latest events were not sent
//	replaying    catching up  the replay has ended, failed or was suspended, or the stream is another incarnation
//	replaying    suspended    a replay of the latest event of each subject was suspended
//	suspended    replaying    Fetch has opened that replay again
//	suspended    catching up  nothing of it is left, or there is a gap
//	live         catching up  the queue is full, pending frames are stale, or a gap for deletions is due
//	live         resyncing    a reset of the tail, or a mirror that ends below the position
//	catching up  resyncing    the same
//	replaying    resyncing    the same; the result of a Fetch under way is void
//	suspended    resyncing    the same
//	resyncing    catching up  Poll has returned all pending frames, then the gap
//	any          closed       Close
//
// A gap for deletions may wait for the next second (a gap round). Until then the subscription stays in
// its state, and the frames after the gap stay in the window or in the queue.
//
// # Where a start begins
//
// resolveStart is the only function that decides it, from the Start and from the state of the stream that
// the node has; its documentation has the table. Subscribe calls it under Feed.mu, and a second time with
// the answer of the stream's leader where that is required. A subscription that falls behind later is
// compared with the stream by the same rules (resolvePlace).
//
// # How the feed wakes a connection
//
// A connection sets a [Waker] with Subscription.Notify. The feed wakes it in one place,
// Subscription.wakeLocked, whenever another Poll may return something:
//
//   - enqueue: a frame was appended, or the queue has overflowed
//   - reset and pollMirrorWait: the subscription resyncs
//   - leaveBeforeDeletedLocked: a gap for deletions is due; announceGaps: its round has come
//   - readWindow: one Poll has read its share of the window, and more is left
//   - Close, and the end of Feed.Run: Poll returns ErrClosed
//
// The same call ends a wait inside Fetch and Next. Wake is called while Feed.mu and Subscription.mu are
// held. It must return at once and not call the feed: the engine queues the connection at its loop.
//
// # Losses
//
// Where the tail cannot continue at the next sequence it resets: it continues elsewhere, or in
// another incarnation. These rules keep subscriptions exact through any number of resets:
//
//   - A reset moves a live subscription, as it has no other way to detect the loss. A subscription that is
//     behind compares its position with the stream whenever it reads the store, and so finds
//     deletions, retention and another incarnation by itself. It cannot find that the stream lost
//     its end and has grown again. That alone moves it, or announces that its sequence was reused.
//   - A second reset before the next Poll is applied to the position that the first one moved the
//     subscription to. Nothing that is stored behind that position is skipped.
//   - A reset does not reach a subscription that is starting: its position is verified
//     against the stream, and finishStart makes up for what was lost since then.
//   - A reset that moves a subscription makes the result of a Fetch under way void.
//   - Every answer of the store is checked against the incarnation that the cursor is meant for.
//     Numbers of deletions alone prove nothing: they are compared together with the first sequence.
//   - Position never falls, except behind a gap.
//
// # Locks
//
// Locks are taken in the order mirrorWait.mu or Feed.mu, Subscription.mu, then those of the index and
// of gapRounds.
package feed
