// Package feedhttp serves feeds over HTTP: Subscribe streams events, Publish and SendMessage
// store them. The handlers are plain http.Handlers that any mux can embed.
//
// # Guarantees of Subscribe
//
//   - tidemark.open is the first event of every stream, tidemark.gap follows it where
//     something cannot be redelivered, then come the events.
//   - Ids never fall on one stream, events and tidemark.position together, but for a
//     tidemark.gap that says that the stream itself was replaced or rolled back.
//   - Once the status 200 is sent, everything is said in the stream: EventSource gives up
//     for good on any other status. 4xx is for requests that must not be repeated.
//   - A stream ends by an abort, so that every client library reconnects.
//
// # Blocking and closing
//
// Subscribe.ServeHTTP returns when the client has gone, the stream is too old or idle, or
// Drain was called; Drain blocks until all streams have ended.
package feedhttp
