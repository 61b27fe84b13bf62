// Package transports measures what it costs on the wire to wait for events, and to get one:
// with Server-Sent Events, a WebSocket, long polling and short polling.
//
// Each transport has a reference endpoint of its own, a net/http server on loopback, and one
// client that sends what a browser would send.
//
// # Guarantees
//
//   - Bytes are counted at the socket, in both directions, by both ends; a run in which the
//     ends disagree is an error.
//   - Packets are those that the kernel counted (Linux; elsewhere they are unknown), bare
//     acknowledgements among them.
//   - Whole exchanges are counted. One clock drives both ends of a transport, so that
//     neither a late timer nor a loaded machine changes the number of bytes.
//   - Every event is checked to have arrived, once and in order.
//   - The figures add up: a connection costs its minutes times the idle figure, and its
//     events times the figure of an event.
//   - Run stops by itself, soon after its context ends at the latest, and leaves no
//     goroutine and no socket behind.
package transports
