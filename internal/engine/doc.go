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
// On Linux, the engine hijacks HTTP/1.1 connections without TLS. Such a connection uses no goroutine. Any
// other connection is written by the goroutine of its handler, through a [Response]. With
// [Engine.WrapListener] the engine also accepts the connections and reads the first request.
//
// Guarantees:
//
//   - Order. Frames are written whole, in the order in which the source appended them, each once.
//   - Calls. The methods of a source are called by one goroutine at a time: Start first, Ended last, each
//     once. Append is called again only after the kernel has accepted all earlier frames.
//   - Memory. An idle connection has no buffer. A blocked connection keeps at most 64 KiB and one frame.
//   - Slow clients. A connection ends with [ErrTimeout] if its client accepts no bytes for
//     Options.WriteTimeout. A client that accepts bytes slowly is not disconnected.
//   - End. A response ends normally if its source returned [ErrComplete]. Any other response ends without its
//     last chunk, so that client libraries treat the end as a lost connection and reconnect.
//
// How it works inside, on Linux: a few loops share the connections, each run by one goroutine
// (loop_linux.go). A goroutine waits for epoll and passes its events to the loops. Wake queues a
// connection at its loop. In its turn the connection calls Append of its source and writes the
// frames (conn_linux.go). If the socket accepts only a part, the rest waits until epoll reports that it accepts
// more. Heartbeats and timeouts are deadlines in a heap of each loop. Acceptors (listener_linux.go) accept
// sockets and read their first request; a request that is not complete waits in a loop (pending_linux.go).
package engine
