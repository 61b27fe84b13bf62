// Package engine writes frames to many connections with few goroutines.
//
// Use it to answer requests with a long-lived response. A [Source] provides the frames of one connection,
// and [Engine.Serve] answers a request with it:
//
//	e, err := engine.New()
//	...
//	http.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
//		w.Header().Set("Content-Type", "text/event-stream")
//		e.Serve(w, r, newSource(r), engine.Options{})
//	})
//
// On Linux, the engine takes HTTP/1.1 connections over from net/http. Such a connection uses no goroutine. Any
// other connection is written by the goroutine of its handler, through a [Response]. With [Engine.Attach] the
// engine also accepts the connections of a server, does their TLS handshakes, and reads their requests.
//
// Guarantees:
//
//   - Order. Frames are written whole, in the order in which the source appended them, each once.
//   - Calls. The methods of a source are called by one goroutine at a time: Start first, Ended last, each
//     once. Append is called again only after the kernel has accepted all earlier frames.
//   - Memory. An idle connection has no buffer. A blocked connection keeps at most 64 KiB and one frame. TLS adds
//     about 8 KB to a connection.
//   - Slow clients. A connection ends with [ErrTimeout] if its client accepts no bytes for
//     Options.WriteTimeout. A client that accepts bytes slowly is not disconnected.
//   - End. A response ends normally if its source returned [ErrComplete]. Then the connection is kept for further
//     requests. Any other response ends without its last chunk, so that client libraries treat the end as a lost
//     connection and reconnect.
//
// # How it works, on Linux
//
// A few loops share the connections, each run by one goroutine (loop_linux.go). A goroutine waits for epoll and
// passes its events to the loops. Acceptors (accept_linux.go) accept sockets, read the available bytes, and answer a
// complete request at once. Later requests are read by the loops (request_linux.go) and answered by worker
// goroutines (handler_linux.go). Wake queues a connection at its loop. In its turn the connection calls Append of
// its source and writes the frames (write_linux.go). Timeouts and the times due are deadlines in a heap of each
// loop.
//
// Bytes pass through a transport (transport_linux.go), in the clear or with TLS (secure_linux.go). TLS is that of
// crypto/tls, over a socket that never blocks. Its handshake runs on a goroutine, of which only as many compute at
// the same time as there are CPUs (handshake_linux.go). HTTP/1.1 is parsed and encoded in http1_linux.go and
// headercache_linux.go.
//
// A connection that the engine cannot serve is passed to net/http for good, with the bytes read from it
// (passed_linux.go): other requests, requests with a body, and HTTP/2. If a handler there calls [Engine.Serve], the
// engine takes the connection over (takeover_linux.go), and reads its further requests.
//
// # The states of a connection
//
// Each state has one goroutine that may change it, and states that may follow (state_linux.go):
//
//	STATE     | the wait, and the goroutine with the connection            | followed by
//	accepted  | the acceptor reads the available bytes                     | hello, request, handler, passed, closed
//	hello     | the loop waits for the whole ClientHello                   | handshake, closed
//	handshake | the loop passes epoll's events to the handshake            | request, passed, closed
//	request   | the loop waits for the head of a request                   | handler, passed, closed
//	handler   | the goroutine of the handler; epoll's events are dropped   | writing, passed, closed
//	writing   | the loop waits for a wake or the time due                  | blocked, request, closed
//	blocked   | the loop waits until the socket accepts bytes              | writing, stalled, request, closed
//	stalled   | the same, and the source was notified                      | writing, request, closed
//	passed    | net/http has the socket                                    | handler
//	closed    | none                                                       | none
//
// The source is called in handler (Start and the first Append) and in writing (Append). Ended is called in the
// move from writing, blocked or stalled to request or closed. A goroutine that has had a connection gives it back
// with loop.give, and the loop then renews the registration, so that epoll reports again the events that were
// dropped.
package engine
