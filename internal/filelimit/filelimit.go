// Package filelimit derives the limits of sockets and connections from the limit of open files of a
// process. The server enforces them, and tidemark doctor explains them.
package filelimit

import "math"

// Reserved open files: for files other than client sockets, such as the store, NATS, certificates and
// operators, and additionally for clients that are rejected with the request to retry later.
const (
	reservedFiles   = 256
	reservedSockets = 256
)

// Sockets returns the maximum number of client sockets for a limit of open files; 0 means no limit.
// Without it, further sockets would wait in the kernel without an answer.
func Sockets(files uint64) int {
	if files == 0 || files > math.MaxInt32 {
		return 0
	}
	return int(max(files/4*3, files-min(files, reservedFiles)))
}

// Streams returns the maximum number of connections.
func Streams(files uint64) int {
	if files == 0 || files > math.MaxInt32 {
		return 0
	}
	return int(max(files/2, files-min(files, reservedFiles+reservedSockets)))
}

// By default, ten thousand clients behind one address are served, also if they reconnect before all of
// their old sockets are closed. They may have more sockets than connections: for other requests, and for
// the response that the address has reached its limit.
const (
	ManyStreams = 13_000
	ManySockets = 14_000
)

// PerAddress returns the default limit of one address. It is half of all, so that an address cannot
// exclude the others, or many if that leaves a quarter to the others. 0 means no limit.
func PerAddress(all, many int) int {
	half := (all + 1) / 2
	if all/4*3 >= many {
		return max(half, many)
	}
	return half
}
