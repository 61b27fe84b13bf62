package feed

// Route is one way of messages to a feed. They are stored in one stream, and go from there to the stream
// that the feed reads.
type Route struct {
	// Stream stores the messages; empty where it is not known.
	Stream string
	// Reader is the stream that feeds read: Stream itself, or a stream that mirrors or sources it.
	Reader string
	// Sourced reports that Reader sources Stream, and gives the messages sequences of its own. A
	// mirror has those of its origin.
	Sourced bool
}
