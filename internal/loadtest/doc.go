// Package loadtest is the load stand behind `tidemark bench`: it opens thousands of SSE
// connections to any server, publishes numbered events, and gives a verdict that can be
// trusted.
//
// # Guarantees
//
//   - Every event carries its number and the time at which it was due to be sent. Latency is
//     measured from that time, so a stand or a server that stalls shows in the figures (no
//     coordinated omission).
//   - The events of a burst are due at the same instant, and stored in the order of their
//     numbers; a run that cannot keep the order fails.
//   - The verdict is by counting: each client's received numbers are compared with what was
//     published for it. Nothing is sampled.
//   - On Linux a plain HTTP connection costs no goroutine: a few loops read all sockets.
//     Elsewhere, and over TLS, it costs one.
//   - A run is bounded in time, and stops when its context ends.
package loadtest
