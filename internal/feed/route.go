package feed

// Route is one way of the messages to a subject: into the stream that stores them, and from there
// to the stream that feeds read.
type Route struct {
	// Stream stores the messages; empty where it is not known.
	Stream string
	// Reader is the stream that feeds read: Stream itself, or one that mirrors or sources it.
	Reader string
	// Sourced says that Reader sources Stream, and gives the messages sequences of its own. A
	// mirror has those of its origin.
	Sourced bool
}
