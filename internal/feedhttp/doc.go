// Package feedhttp serves feeds over HTTP: Subscribe sends events, Publish and SendMessage store
// them. The handlers are plain http.Handlers that any mux can embed.
//
// # Guarantees of Subscribe
//
//   - tidemark.open is the first event of every connection. tidemark.gap follows it where
//     events cannot be delivered, then come the events.
//   - Ids never decrease on one connection, events and tidemark.position together, except with a
//     tidemark.gap that reports that the stream itself was replaced or rolled back.
//   - Once the status 200 is sent, everything is reported in the response: EventSource gives up
//     on any other status. 4xx is for requests that must not be repeated.
//   - Every response ends without its last chunk, so that every client library reconnects. There are two exceptions:
//     a page, and a connection with ?until=end whose subjects are complete: its client has everything.
//
// # Forms
//
// A response has one of four forms ([Form]): SSE, SSE with envelopes, NDJSON, or one page of JSON. negotiate selects it,
// and controlWriter writes events and control events in it. A page is a session, too: it waits like an idle
// connection, and the turn with its last event ends the response ([engine.ErrComplete]). Its refusals are status codes
// until the engine has the session; see servePage.
//
// # Blocking and closing
//
// Subscribe.ServeHTTP returns when the client disconnected, the connection is too old or idle, or
// the handler drains; with an engine it returns at once. Drain blocks until all connections have ended.
//
// # States of a connection
//
// A session is in one of six states, and moveLocked changes it. Any other transition changes nothing:
// the first reason to close stays, whatever comes later.
//
//	from         to           when
//	new          connecting   the store must be read: its goroutine subscribes
//	new          live         the window of the feed has the position, or the connection starts with new events
//	new          closing      a limit, a revocation or a drain rejects the connection, or the feed is closed
//	new          closed       the engine ends it
//	connecting   catching up  the store has answered
//	connecting   closing      a deadline, a revocation, a drain, or the feed is closed
//	connecting   closed       the client disconnected, or the engine ends it
//	catching up  live         the subscription has caught up
//	catching up  closing      a deadline, a revocation, a drain, or an error of the subscription
//	catching up  closed       the client disconnected, or the engine ends it
//	live         catching up  the client is behind the window
//	live         closing      a deadline, a revocation, a drain, or an error of the subscription
//	live         closed       the client disconnected, or the engine ends it
//	closing      closed       the close event is written, or the client disconnected before
//
// Connecting and catching up hold a place among Limits.Replays. A session that closes while a
// goroutine reads from the store is released by that goroutine.
//
// # How a connection is written
//
// The session is an [engine.Source]: the engine calls Start, then Append for each turn, and Ended.
// [feed.Subscription] wakes the engine when there are events (Notify), and the turn takes them with Poll.
// If Poll reports that the store must be read, a goroutine calls Fetch and wakes the engine. Append
// never blocks.
package feedhttp
