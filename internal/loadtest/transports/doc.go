// Package transports measures the network traffic of four ways to receive events: Server-Sent Events,
// a WebSocket, long polling and short polling. `tidemark bench overhead` is its command.
//
// Each transport has a reference endpoint, a net/http server on loopback, and one client that sends
// the headers of a browser. The figures are those of an idle minute and of one event.
//
// # Guarantees
//
//   - Bytes are counted at the socket, in both directions, by both ends; a run in which the
//     counts differ is an error.
//   - Packets are those that the kernel counted, including bare acknowledgements. They are known
//     on Linux only.
//   - Whole exchanges are counted. One goroutine drives both ends of a transport, so that
//     neither a late timer nor a loaded machine changes the number of bytes.
//   - Every event is checked: it arrives once and in order.
//   - The figures add up: a connection costs its minutes times the idle figure, and its
//     events times the figure of an event.
//   - Run is bounded in time, ends soon after its context, and leaves no goroutine and no socket.
package transports
