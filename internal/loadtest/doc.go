// Package loadtest loads any SSE server, publishes numbered events, and counts every delivery. `tidemark bench` is
// its command.
//
// # Guarantees
//
//   - Every event carries its number and its intended send time. Latency is measured from that
//     time, so a load generator or a server that stalls shows in the results (no coordinated
//     omission).
//   - The events of a burst have the same send time and are stored in the order of their numbers; a
//     run that cannot keep the order fails.
//   - The verdict compares the numbers that each client received with those that were published
//     for it. Nothing is sampled.
//   - On Linux a connection costs no goroutine, also over TLS and HTTP/2: a few epoll loops read all
//     sockets. Only TLS handshakes have goroutines, a bounded number. Elsewhere each connection has
//     some.
//   - Over TLS each client has a connection and a TLS session of its own, as a browser has. With
//     HTTP/2, several clients share a connection on request.
//   - A run is bounded in time, and stops when its context ends.
//
// # How it works
//
// A run has clients, a publisher and meters. The clients are [localClients] of this process, or [workers]:
// processes that have a part of the clients each. An [engine] opens and reads the connections. All engines pass
// the bytes to [client], which parses and counts them.
package loadtest
