// Package e2e holds no code: its tests try Tidemark as its users get it. They build the
// command, run it as processes, and take away from it what the world takes away:
// connections, the other end of connections, the process itself.
//
// What they prove, by counting numbered events that a NATS producer had acknowledged:
//
//   - While `serve` is killed with SIGKILL and started again, and connections are cut at any
//     byte or fall silent on one side, every client has each event that its subjects match
//     once, in order, and is never told of a gap.
//   - `tidemark subscribe`, killed with SIGKILL, goes on from its state file: nothing is
//     missing, and at most the one event is printed again that it had printed and not yet
//     noted.
//   - SIGTERM ends `serve` with status 0 after each client was told to come back; what it
//     stored is served after the next start.
//   - The EventSource of Chromium, Firefox and WebKitGTK has each event once, over cuts and deaths
//     of the service, with what docs/reference/clients.md says that a page must add; large, multi-line and
//     non-ASCII data arrive exact; ten streams to one host live over HTTP/2 through nginx. Client
//     libraries of others for Node and Go resume, too.
//   - Three nodes behind nginx over three NATS servers (internal/testcluster): whichever of them is killed,
//     paused, cut off, replaced, or has a full disk, every client has each event once, in order.
//   - So do clients behind a link that loses packets, and those of a service whose disk was full.
//   - The client library in these engines has each event once over reloads, cuts that nobody is
//     told of, 503, sleep, tokens that expire and pages without a storage; ten tabs that share one
//     connection do when the one that has it is closed, sleeps or hangs.
//   - The console in Chromium counts what it receives and what is redelivered after a cut, and
//     asks no other origin.
//   - The tour of the README, and the commands of docs, are true when typed.
//   - compose.yaml and the image do what is said about them, in a container engine (e2e/containers).
//
// Nothing here measures time. A test that waits for what never comes fails after a generous
// while; every process that it started is ended by then, by its id.
package e2e
