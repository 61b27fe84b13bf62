package feed

// TraceContext is the W3C Trace Context of a request or a message. It comes from outside and may be
// malformed. Both fields are empty for none.
type TraceContext struct {
	Parent string // the header traceparent: 00-TRACE-PARENT-FLAGS
	State  string // the header tracestate
}

// Trace observes one event on its way through a feed. A Store sets it for sampled events that Follow
// yields; all others have none. Its functions must be set. Many goroutines call them, also while locks
// are held, so they must return at once.
type Trace struct {
	// Enqueued is called once, when the tail has added the event to the window and to the live
	// subscriptions that it matches, with their number. Sent may have been called before.
	Enqueued func(subscriptions int)
	// Sent is called for each delivery of the event to a client that was connected when it was
	// stored. There can be more of them than subscriptions, or fewer.
	Sent func()
}
