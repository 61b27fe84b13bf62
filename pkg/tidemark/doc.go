// Package tidemark serves durable, replayable Server-Sent Events from a JetStream stream in your own
// Go program. Clients that reconnect with Last-Event-ID receive every stored event that they missed,
// in order and once, and then live events. tidemark.gap announces events that cannot be delivered.
//
// Use it in a program with its own users, routes and NATS connection. Otherwise run the command tidemark.
//
//	f, err := tidemark.Open(ctx, nc, tidemark.Options{
//		Stream:   "NEWS",
//		Subjects: []string{"news.all", "news.user.{user}"},
//		Identify: auth.TrustedHeader("X-User", "10.0.0.7"),
//	})
//	if err != nil { … }
//	defer f.Close()
//	http.Handle("/events", f)
//
// # Two ways to serve
//
// A [Feed] is an [http.Handler] for any mux and path. ServeHTTP returns when the connection has ended, so that
// middleware measures the right durations. A connection costs a goroutine and the buffers of net/http.
// [Feed.Serve] and [Feed.ServeTLS] serve a listener with the engine instead: on Linux and over HTTP/1.1, connections cost no
// goroutine and 1.9 KB of memory instead of 28 KB while they are idle. Use it for more than a few thousand
// connections.
//
// # Publishing and revoking
//
// [Feed.Publish] stores events for the program. [Feed.PublishHandler] is a handler for HTTP clients; the program
// authorises them. [Feed.Revoke] closes the connections of a user or of a token, and rejects tokens that were issued before.
//
// # Guarantees
//
//   - A Feed reads its stream once, for all connections, and keeps recent events in memory
//     ([Options].Window). It changes nothing in the stream.
//   - Connections never receive an id twice or out of order, except behind a tidemark.gap which
//     reports that the stream was replaced.
//   - Slow clients are neither disconnected nor allowed to delay others. Memory is bounded for each
//     client and for all of them.
//   - While NATS is not reachable connections stay open and wait.
//   - All methods are safe for concurrent use. Close waits for every goroutine of the Feed.
//
// # Stopping
//
// Call [Feed.Drain], then [Feed.Close], then close the connection to NATS:
//
//	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
//	defer cancel()
//	err := f.Drain(ctx) // clients reconnect to another node
//	f.Close()
//
// [http.Server.Shutdown] waits for connections without ending them: call Drain first.
//
// # Tests
//
// Package tidemarktest has a feed over a stream in memory, for tests of programs that embed this one.
package tidemark
