// Package e2e contains end-to-end tests and no code. They build the command, run it as processes, and take connections,
// peers, disks and processes away.
//
// The tests count numbered events whose publishing a NATS server has acknowledged. They show:
//
//   - `serve` is killed with SIGKILL and restarted, and connections are cut at any byte or become silent on one side:
//     each client receives each event of its subjects once, in order, and no gap.
//   - `tidemark subscribe` is killed with SIGKILL and resumes from its state file: no event is missing, and at most the
//     one event is printed again that was printed and not yet saved.
//   - SIGTERM ends `serve` with status 0 after each client has received tidemark.close. The stored events are served after
//     the next start.
//   - EventSource of Chromium, Firefox and WebKitGTK, with the additions that docs/reference/clients.md describes, receives
//     each event once over cuts and restarts of the service. Large, multi-line and non-ASCII data arrives unchanged. Ten
//     connections to one host work over HTTP/2 through nginx. Client libraries of others for Node and Go resume, too.
//   - Three nodes behind nginx over three NATS servers (internal/testcluster): any of them is killed, paused, isolated,
//     replaced, or has a full disk, and every client receives each event once, in order.
//   - The same holds for clients behind a link that loses packets, and for those of a service whose disk was full.
//   - The client library receives each event once in these engines, over reloads, undetected cuts, 503, sleep, tokens
//     that expire, and in pages without storage. Ten tabs share one connection, also when the leading tab is closed,
//     sleeps or hangs.
//   - The console counts received and redelivered events correctly, and sends no request to another origin.
//   - Responses and control events of a node follow its OpenAPI document.
//   - The tour of the README, and the commands of docs, work as written. So do the pages of examples.
//   - compose.yaml and the image behave as documented, in a container engine (e2e/containers).
//
// No test measures time. A wait ends with a failure after some minutes, and every process of a test has ended by the end
// of the test.
//
// The folder is a module of its own, so that its libraries for browsers and for OpenAPI are not in the module graph of
// programs that import packages of Tidemark.
package e2e
