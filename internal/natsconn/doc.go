// Package natsconn makes and watches connections to NATS.
//
// # Guarantees
//
//   - A connection is retried without end, whether it was lost or never made. A lost server is noticed
//     within 1.5 s, and a thousand nodes reconnect spread over two seconds.
//   - Nothing is buffered while NATS is unreachable: publishing fails instead.
//   - Each cause of a failure is logged once per outage, and no login appears in a log message.
//   - A [Watcher] ends all waits for answers when the connection changes: an answer to a request that the
//     old connection carried never arrives on the new one.
//
// The caller closes its connections, after the watchers on them.
package natsconn
